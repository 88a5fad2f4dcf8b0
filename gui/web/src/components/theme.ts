import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';

const key = 'belay-theme';
const media = window.matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set<() => void>();

function stored(): Theme {
  try {
    const t = localStorage.getItem(key);
    if (t === 'light' || t === 'dark') return t;
  } catch {
    // a browser that keeps nothing: the system's choice
  }
  return 'system';
}

let theme = stored();

function show() {
  const dark = theme === 'dark' || (theme === 'system' && media.matches);
  document.documentElement.classList.toggle('pf-v6-theme-dark', dark);
}

media.addEventListener('change', show);
show();

export function setTheme(t: Theme) {
  theme = t;
  try {
    localStorage.setItem(key, t);
  } catch {
    // it holds for this page
  }
  show();
  for (const f of listeners) f();
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    (f) => {
      listeners.add(f);
      return () => listeners.delete(f);
    },
    () => theme,
  );
}
