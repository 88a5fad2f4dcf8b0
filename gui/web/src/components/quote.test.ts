import { expect, it } from 'vitest';
import { quote } from './quote';

it('quotes what a shell would take apart', () => {
  expect(['web', 'n1:/x', '', 'a b', "it's", '$(rm)', '-x'].map(quote)).toEqual(['web', 'n1:/x', "''", "'a b'", "'it'\\''s'", "'$(rm)'", '-x']);
});
