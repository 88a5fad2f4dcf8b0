import { useSyncExternalStore } from 'react';
import { api, must, onSessionEnd, setCSRF } from './client';
import * as live from './live';
import { codes, Problem, problemOf } from './problem';
import { queries } from './queries';
import type { components } from './schema';
import type { WhoAmI } from './types';

type S = components['schemas'];

/** Session is who is logged in: not asked yet, nobody, or somebody. On a node without a cluster nobody can. */
export type Session = { state: 'asking'; problem?: Problem } | { state: 'out'; ended: boolean } | { state: 'setup' } | { state: 'in'; who: WhoAmI; ended: boolean };

let session: Session = { state: 'asking' };
const listeners = new Set<() => void>();

function set(s: Session) {
  session = s;
  for (const f of listeners) f();
}

export function useSession(): Session {
  return useSyncExternalStore(
    (f) => {
      listeners.add(f);
      return () => {
        listeners.delete(f);
      };
    },
    () => session,
  );
}

/** useWho returns who is logged in, on pages that are shown to nobody else. */
export function useWho(): WhoAmI {
  const s = useSession();
  if (s.state !== 'in') throw new Error('a page was shown to nobody');
  return s.who;
}

// The session ended while somebody worked. The page stays, with what was typed, and a
// dialog asks for the password on top of it.
onSessionEnd(() => {
  live.stop();
  if (session.state === 'in') set({ ...session, ended: true });
  else set({ state: 'out', ended: false });
});

/** begin finds out whether the browser has a session. */
export async function begin() {
  try {
    took(await must(api.GET('/v1/session')));
  } catch (e) {
    const p = problemOf(e);
    if (p.status === 401) set((await needsSetup()) ? { state: 'setup' } : { state: 'out', ended: false });
    else set({ state: 'asking', problem: p });
  }
}

/** needsSetup says whether the node is in no cluster. Where that can't be told, the log-in says what is wrong. */
async function needsSetup(): Promise<boolean> {
  try {
    return (await must(api.GET('/v1/cluster/setup'))).needed;
  } catch {
    return false;
  }
}

function took(who: WhoAmI) {
  setCSRF(who.csrfToken ?? '');
  const again = session.state === 'in' && session.who.user === who.user;
  if (!again) queries.clear();
  set({ state: 'in', who, ended: false });
  live.start(again);
  void queries.invalidateQueries();
}

/** Challenge is what a log-in asks besides the password. */
export type Challenge = S['Challenge'];

/** login begins a session in a cookie, or returns what is asked besides; what the server refuses is thrown. */
export function login(user: string, password: string): Promise<Challenge | undefined> {
  return begun('/v1/session', { user, password, cookie: true });
}

/** answer answers a challenge; another one may come of it. */
export function answer(challenge: Challenge, answers: string[]): Promise<Challenge | undefined> {
  return begun('/v1/session/answers', { id: challenge.id, answers, cookie: true });
}

async function begun(path: string, body: unknown): Promise<Challenge | undefined> {
  const r = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    credentials: 'same-origin',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  }).catch((e: unknown) => {
    throw problemOf(e);
  });
  if (!r.ok) {
    const { problemOfResponse } = await import('./problem');
    throw await problemOfResponse(r);
  }
  if (r.status === 202) return ((await r.json()) as S['SessionAnswer']).challenge;
  const who = await must(api.GET('/v1/session')).catch((e: unknown) => {
    const p = problemOf(e);
    if (p.code === codes.login) throw new Problem({ title: 'The browser kept no session', detail: 'it refuses the cookie', remedy: 'Allow cookies for this address.' });
    throw p;
  });
  took(who);
  return undefined;
}

/** logout ends the session, here and on the server. */
export async function logout() {
  live.stop();
  try {
    await api.DELETE('/v1/session');
  } finally {
    setCSRF('');
    queries.clear();
    set({ state: 'out', ended: false });
  }
}
