// The filters of the events stand in the address, so that a view can be sent to somebody.
export const severities = ['warning', 'minor', 'major', 'critical'] as const;
export type Severity = (typeof severities)[number];

/** Filter is what the server is asked for. */
export interface Filter {
  severity?: Severity;
  node?: string;
  resource?: string;
  code?: string;
}

/** filterOf reads the filters of an address; what no server would take is left out. */
export function filterOf(p: URLSearchParams): Filter {
  const severity = severities.find((s) => s === p.get('severity'));
  const text = (key: string, max: number) => {
    const v = p.get(key);
    return v && v.length <= max ? v : undefined;
  };
  return { severity, node: text('node', 200), resource: text('resource', 200), code: text('code', 20) };
}

/** cliOf is the command that shows the same, where there is one. */
export function cliOf(f: Filter): string[] {
  return f.severity ? ['events', '--severity', f.severity] : ['events'];
}
