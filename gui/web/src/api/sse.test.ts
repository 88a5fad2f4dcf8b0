import { describe, expect, it } from 'vitest';
import { Parser } from './sse';

const stream = 'id: 7\nevent: state\ndata: {"a":1}\n\n: alive\n\nevent: end\r\ndata: x\r\ndata: y\r\n\r\nid: 8\n\ndata: never ends';

describe('server-sent events', () => {
  const want = [
    { id: '7', event: 'state', data: '{"a":1}' },
    { id: '7', event: 'end', data: 'x\ny' },
  ];
  it('reads a whole text', () => {
    expect(new Parser().feed(stream)).toEqual(want);
  });
  it('reads any pieces of it', () => {
    for (let n = 1; n < stream.length; n++) {
      const p = new Parser();
      const out = [];
      for (let i = 0; i < stream.length; i += n) out.push(...p.feed(stream.slice(i, i + n)));
      expect(out).toEqual(want);
    }
  });
});
