import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { budget, compress, licences } from './build/plugins.ts';

// BELAY_URL is the management daemon that "npm run dev" passes requests on to.
const server = process.env.BELAY_URL ?? 'https://127.79.1.1:7443';

export default defineConfig({
  plugins: [react(), licences(), budget({ maxKiB: 500, first: ['src/pages/login/index.tsx', 'src/pages/overview/index.tsx'] }), compress()],
  build: {
    outDir: 'dist/app',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy lets no data: fonts and no inline scripts in.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
    reportCompressedSize: false,
  },
  server: { proxy: { '^/(v1|openapi.json|docs|problems|style.css)': { target: server, secure: false } } },
  test: { include: ['src/**/*.test.{ts,tsx}', 'build/**/*.test.ts'], reporters: ['default', './build/reporter.ts'] },
} as Parameters<typeof defineConfig>[0]);
