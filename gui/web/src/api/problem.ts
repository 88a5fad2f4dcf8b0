import type { ProblemBody } from './types';

/** Problem is an answer that is an error (RFC 9457), or no answer at all. */
export class Problem extends Error {
  readonly status: number; // 0: no answer
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly remedy: string;
  readonly faults: { path?: string; text: string }[];
  readonly retryAfter: number; // seconds
  readonly approval: string; // id of the approval that the change waits for
  readonly request: string; // id, as in the server's log

  constructor(p: Partial<ProblemBody> & { title: string }) {
    super(p.detail ? `${p.title}: ${p.detail}` : p.title);
    this.name = 'Problem';
    this.status = p.status ?? 0;
    this.code = p.code ?? '';
    this.title = p.title;
    this.detail = p.detail ?? '';
    this.remedy = p.remedy ?? '';
    this.faults = (p.faults ?? []);
    this.retryAfter = Number(p.retryAfter ?? 0);
    this.approval = p.approval ?? '';
    this.request = p.request ?? '';
  }
}

/** The codes that the GUI does something special for. */
export const codes = {
  forbidden: 'BLY2001',
  conflict: 'BLY2002',
  noQuorum: 'BLY2003',
  planChanged: 'BLY2009',
  login: 'BLY2020',
  loginRefused: 'BLY2021',
  tooMany: 'BLY2022',
  noMatch: 'BLY2024',
  approval: 'BLY2026',
  noCluster: 'BLY2007',
} as const;

/** problemOf turns what was thrown or answered into a Problem. */
export function problemOf(e: unknown): Problem {
  if (e instanceof Problem) return e;
  if (e instanceof Error) {
    // fetch throws a TypeError without any detail that helps.
    const text = e.name === 'TypeError' ? 'the management daemon does not answer' : e.message;
    return new Problem({ title: 'No answer', detail: text, remedy: 'Check the network and systemctl status belay-mgmtd on that node. It is tried again.' });
  }
  return new Problem({ title: 'No answer', detail: String(e) });
}

/** problemOfResponse reads the error of an answer, also where something in between wrote it. */
export async function problemOfResponse(r: Response): Promise<Problem> {
  try {
    const b = (await r.clone().json()) as Partial<ProblemBody>;
    if (typeof b.title === 'string') return new Problem({ ...b, title: b.title, status: r.status });
  } catch {
    // not JSON: a proxy, or an answer that was cut
  }
  return new Problem({ title: `The server answered ${r.status}`, status: r.status, detail: r.statusText, retryAfter: Number(r.headers.get('Retry-After') ?? 0) });
}
