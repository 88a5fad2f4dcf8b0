import createClient, { type Middleware } from 'openapi-fetch';
import { Problem, problemOf, problemOfResponse, codes } from './problem';
import type { paths } from './schema';

// csrf is the token that every change sends; the session itself is in a cookie that no
// script can read.
let csrf = '';
let onEnd: () => void = () => {};

export function setCSRF(token: string) {
  csrf = token;
}

/** onSessionEnd says what is done when the server no longer knows the session. */
export function onSessionEnd(f: () => void) {
  onEnd = f;
}

/** sessionEnded is called by whoever is told that the session is over. */
export function sessionEnded() {
  csrf = '';
  onEnd();
}

/** How long an answer may take before it counts as none. */
const answerMs = 30_000;

const guard: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET' && csrf) request.headers.set('X-CSRF-Token', csrf);
    return request;
  },
  async onResponse({ response }) {
    if (response.ok || response.status === 304) return;
    const p = await problemOfResponse(response);
    if (p.status === 401 && p.code === codes.login) sessionEnded();
    throw p;
  },
  onError({ error }) {
    return problemOf(error);
  },
};

function timed(request: Request): Promise<Response> {
  return fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(answerMs)]) });
}

/** api calls the operations of the OpenAPI description; every error is a Problem. */
export const api = createClient<paths>({ baseUrl: '', credentials: 'same-origin', fetch: timed });
api.use(guard);

/** must returns the body of an answer that has one. */
export async function must<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const a = await answer;
  if (a.error !== undefined) throw problemOf(a.error);
  if (a.data === undefined) throw new Problem({ title: 'An empty answer', status: a.response.status });
  return a.data;
}

/** newKey draws a key that makes a change safe to send again. */
export function newKey(): string {
  return crypto.randomUUID();
}
