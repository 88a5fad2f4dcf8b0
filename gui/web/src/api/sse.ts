/** A message of a stream of server-sent events. */
export interface Message {
  id: string;
  event: string;
  data: string;
}

/**
 * Parser reads server-sent events (WHATWG HTML, section 9.2) from pieces of text. The
 * browser's own EventSource shows neither the status of a refused request nor the
 * comments by which one sees that a stream is alive.
 */
export class Parser {
  private rest: string[] = [];
  private id = '';
  private event = '';
  private data: string[] = [];

  feed(text: string): Message[] {
    const out: Message[] = [];
    let from = 0;
    for (;;) {
      const end = text.indexOf('\n', from);
      if (end < 0) break;
      // A message of a megabyte comes in many pieces: they are joined once.
      this.rest.push(text.slice(from, end));
      const line = this.rest.length === 1 ? this.rest[0]! : this.rest.join('');
      this.rest = [];
      from = end + 1;
      const m = this.line(line.endsWith('\r') ? line.slice(0, -1) : line);
      if (m) out.push(m);
    }
    if (from < text.length) this.rest.push(text.slice(from));
    return out;
  }

  private line(line: string): Message | undefined {
    if (line === '') {
      const m = { id: this.id, event: this.event || 'message', data: this.data.join('\n') };
      const some = this.data.length > 0;
      this.event = '';
      this.data = [];
      return some ? m : undefined;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return undefined; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.event = value;
    else if (field === 'id') this.id = value;
    return undefined;
  }
}
