/** duration writes a length of time in its two largest units, as the command line does. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  const neg = ms < 0 ? '−' : '';
  let rest = Math.abs(ms);
  if (rest < 1000) return `${neg}${rest < 10 ? Math.round(rest * 10) / 10 : Math.round(rest)} ms`;
  rest = Math.round(rest / 1000);
  const units: [string, number][] = [
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const out: string[] = [];
  for (const [name, s] of units) {
    const n = Math.floor(rest / s);
    if (n > 0 || (name === 's' && out.length === 0)) out.push(`${n} ${name}`);
    else if (out.length > 0) break;
    rest -= n * s;
    if (out.length === 2) break;
  }
  return neg + out.join(' ');
}

/** nanos writes a length of time that the API tells in nanoseconds. */
export function nanos(ns: number | undefined): string {
  return duration(Number(ns ?? 0) / 1e6);
}

/** bytes writes a size. */
export function bytes(n: number | undefined): string {
  let v = Number(n ?? 0);
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (v < 1024 || unit === 'GiB') return `${v < 10 && unit !== 'B' ? v.toFixed(1) : Math.round(v)} ${unit}`;
    v /= 1024;
  }
  return '';
}

/** exact writes a moment as it is read aloud in a log: the local date and time, to the second. */
export function exact(time: string | undefined): string {
  if (isZero(time)) return '–';
  const t = new Date(time!);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

/** isZero tells Go's zero time, and no time at all. */
export function isZero(t: string | undefined): boolean {
  return !t || t.startsWith('0001-01-01');
}
