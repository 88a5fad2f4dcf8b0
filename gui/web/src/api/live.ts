// The state of the cluster, as a stream tells it, for every page.
import { useSyncExternalStore } from 'react';
import { sessionEnded } from './client';
import { codes, type Problem, problemOf, problemOfResponse } from './problem';
import { Parser } from './sse';
import type { Summary } from './types';

export type Connection = 'connecting' | 'live' | 'lost';

/** Live is what is known of the cluster now. */
export interface Live {
  summary?: Summary;
  connection: Connection;
  /** When the newest word of the server came, on this browser's clock. */
  heard: number;
  /** Server's clock minus this browser's, in ms: ages are counted on the server's. */
  clockOffset: number;
  problem?: Problem;
  /** Seconds since the engine said something; 0 while it does. */
  age: number;
}

/** Silence after which a stream counts as lost: two heartbeats of the server and a bit. */
const silenceMs = 35_000;
const retryMs = [500, 1000, 2000, 5000];

let state: Live = { connection: 'connecting', heard: 0, clockOffset: 0, age: 0 };
const listeners = new Set<() => void>();
let stopRunning: (() => void) | undefined;

function set(part: Partial<Live>) {
  state = { ...state, ...part };
  for (const f of listeners) f();
}

/** useLive returns what is known, and renders again at each change. */
export function useLive(): Live {
  return useSyncExternalStore(subscribe, () => state);
}

/** useSummary returns the state; a page is only shown once there is one. */
export function useSummary(): Summary {
  const s = useLive().summary;
  if (!s) throw new Error('a page was shown before the state was known');
  return s;
}

function subscribe(f: () => void) {
  listeners.add(f);
  return () => {
    listeners.delete(f);
  };
}

/** current returns what is known, outside of rendering. */
export function current(): Live {
  return state;
}

/** start follows the stream until stop. What was known stays where the same person goes on: the page with what was typed stays, too. */
export function start(keep: boolean) {
  stop();
  const ctl = new AbortController();
  stopRunning = () => ctl.abort();
  set({ connection: 'connecting', problem: undefined, ...(keep ? {} : { summary: undefined, age: 0 }) });
  void run(ctl.signal);
  void watchAge(ctl.signal);
}

export function stop() {
  stopRunning?.();
  stopRunning = undefined;
}

async function run(signal: AbortSignal) {
  let tries = 0;
  while (!signal.aborted) {
    try {
      await follow(signal, () => {
        tries = 0;
      });
      if (!signal.aborted) set({ connection: 'lost', problem: undefined });
    } catch (e) {
      if (signal.aborted) return;
      const p = problemOf(e);
      if (p.status === 401) {
        stop();
        sessionEnded();
        return;
      }
      set({ connection: 'lost', problem: p });
    }
    const wait = retryMs[Math.min(tries++, retryMs.length - 1)]!;
    await pause(Math.max(wait, (state.problem?.retryAfter ?? 0) * 1000), signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const t = setTimeout(done, ms);
    function done() {
      clearTimeout(t);
      signal.removeEventListener('abort', done);
      window.removeEventListener('online', done);
      resolve();
    }
    signal.addEventListener('abort', done);
    // Who comes back from the train need not wait.
    window.addEventListener('online', done);
  });
}

async function follow(outer: AbortSignal, good: () => void) {
  const ctl = new AbortController();
  const signal = AbortSignal.any([outer, ctl.signal]);
  let timer = setTimeout(() => ctl.abort(), silenceMs);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => ctl.abort(), silenceMs);
  };
  try {
    const r = await fetch('/v1/state', { headers: { Accept: 'text/event-stream' }, credentials: 'same-origin', signal });
    if (!r.ok || !r.body) throw await problemOfResponse(r);
    const date = Date.parse(r.headers.get('Date') ?? '');
    if (!Number.isNaN(date)) set({ clockOffset: Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0 });
    const parser = new Parser();
    const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      for (const m of parser.feed(value)) {
        if (m.event === 'end') {
          stop();
          sessionEnded();
          return;
        }
        if (m.event !== 'state') continue;
        good();
        set({ summary: JSON.parse(m.data) as Summary, connection: 'live', heard: Date.now(), problem: undefined });
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Every this often it is asked how old the node's knowledge is: the stream is silent when nothing changes, and also when the engine is gone. */
const ageMs = 10_000;

async function watchAge(signal: AbortSignal) {
  while (!signal.aborted) {
    await pause(ageMs, signal);
    if (signal.aborted) return;
    try {
      const r = await fetch('/v1/cluster', { credentials: 'same-origin', signal });
      const age = Number(r.headers.get('Belay-Snapshot-Age') ?? 0);
      const code = r.ok ? '' : (await problemOfResponse(r)).code;
      if (code === codes.login) {
        stop();
        sessionEnded();
        return;
      }
      if (r.ok && age !== state.age) set({ age });
    } catch {
      // the stream tells of a lost connection
    }
  }
}

/** now returns the server's time, by which ages are shown. */
export function now(): number {
  return Date.now() + state.clockOffset;
}
