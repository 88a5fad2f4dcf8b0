// Plugins of the build: the list of licences, the limit on the first load, and the
// compressed forms that the daemon sends as they are.
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin, Rolldown } from 'vite';

type Bundle = Rolldown.OutputBundle;

// permissive are the licences whose parts may be in the binary.
const permissive = new Set(['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'Apache-2.0', 'Unlicense', 'MIT-0']);

interface Manifest {
  name?: string;
  version?: string;
  license?: string;
}

function packageOf(id: string): string | undefined {
  const file = id.replace(/^\0/, '').replace(/\?.*$/, '');
  const at = file.lastIndexOf('/node_modules/');
  if (at < 0) return undefined;
  const parts = file.slice(at + '/node_modules/'.length).split('/');
  const name = parts[0]!.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!;
  return join(file.slice(0, at), 'node_modules', name);
}

function licenceText(dir: string): string {
  const file = readdirSync(dir).find((f) => /^(licen[cs]e|copying)(\.|$)/i.test(f));
  return file ? readFileSync(join(dir, file), 'utf8').trim() : '';
}

/** Writes licences.txt with every package of which something is in the bundle; fails on one that is not permissive. */
export function licences(): Plugin {
  return {
    name: 'belay-licences',
    apply: 'build',
    generateBundle() {
      const dirs = new Set<string>();
      for (const id of this.getModuleIds()) {
        const dir = packageOf(id);
        if (dir) dirs.add(dir);
      }
      const parts: string[] = [];
      for (const dir of [...dirs].sort()) {
        const m = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Manifest;
        if (!m.license || !permissive.has(m.license)) this.error(`${m.name}: licence ${m.license ?? 'unknown'} is not one of ${[...permissive].join(', ')}`);
        parts.push(`${m.name} ${m.version}: ${m.license}\n\n${licenceText(dir)}\n`);
      }
      if (parts.length === 0) this.error('the list of licences is empty');
      parts.push('Red Hat Display, Red Hat Text, Red Hat Mono (fonts): SIL Open Font License 1.1\n');
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: parts.join('\n' + '-'.repeat(72) + '\n\n') });
    },
  };
}

interface BudgetOptions {
  /** KiB of gzip that the first load may have. */
  maxKiB: number;
  /** Modules, besides the entry, that the first load needs. */
  first: string[];
}

function size(source: string | Uint8Array): number {
  return gzipSync(source, { level: 6 }).length;
}

/** firstLoad sums the files that the first pages load. */
export function firstLoad(bundle: Bundle, first: string[], root: string): { bytes: number; files: string[] } {
  const files = new Set<string>(['index.html']);
  const visit = (name: string) => {
    const chunk = bundle[name];
    if (!chunk || files.has(name)) return;
    files.add(name);
    if (chunk.type !== 'chunk') return;
    chunk.imports.forEach(visit);
    const meta = (chunk as { viteMetadata?: { importedCss: Set<string> } }).viteMetadata;
    meta?.importedCss.forEach(visit);
  };
  const wanted = new Set(first);
  for (const chunk of Object.values(bundle)) {
    if (chunk.type !== 'chunk') continue;
    const module = chunk.facadeModuleId ? relative(root, chunk.facadeModuleId) : '';
    if (wanted.delete(module) || chunk.isEntry) visit(chunk.fileName);
  }
  if (wanted.size > 0) throw new Error(`no chunk for ${[...wanted].join(', ')}`);
  for (const asset of Object.values(bundle)) {
    if (asset.type === 'asset' && /RedHat(Text|Display)VF-[^I].*\.woff2$/.test(asset.fileName)) files.add(asset.fileName);
  }
  let bytes = 0;
  for (const f of files) {
    const b = bundle[f];
    if (b) bytes += f.endsWith('.woff2') ? (b as { source: Uint8Array }).source.length : size(b.type === 'chunk' ? b.code : b.source);
  }
  return { bytes, files: [...files] };
}

/** Fails where the first load is larger than agreed. */
export function budget(o: BudgetOptions): Plugin {
  let root = '';
  return {
    name: 'belay-budget',
    apply: 'build',
    enforce: 'post',
    configResolved(c) {
      root = c.root;
    },
    generateBundle(_, bundle) {
      const { bytes, files } = firstLoad(bundle, o.first, root);
      const kib = bytes / 1024;
      const text = `first load: ${kib.toFixed(1)} KiB of gzip in ${files.length} files, at most ${o.maxKiB}`;
      if (kib > o.maxKiB) this.error(text);
      this.info(text);
    },
  };
}

/** Writes the compressed forms, and keeps the plain one of index.html only. */
export function compress(): Plugin {
  let out = '';
  return {
    name: 'belay-compress',
    apply: 'build',
    configResolved(c) {
      out = join(c.root, c.build.outDir);
    },
    closeBundle() {
      const walk = (dir: string): string[] => readdirSync(dir).flatMap((f) => (statSync(join(dir, f)).isDirectory() ? walk(join(dir, f)) : [join(dir, f)]));
      for (const file of walk(out)) {
        if (!/\.(js|css|html|svg|txt|json)$/.test(file)) continue;
        const b = readFileSync(file);
        writeFileSync(file + '.gz', gzipSync(b, { level: 9 }));
        writeFileSync(file + '.br', brotliCompressSync(b, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: b.length } }));
        if (dirname(file) !== out || !file.endsWith('.html')) rmSync(file);
      }
    },
  };
}
