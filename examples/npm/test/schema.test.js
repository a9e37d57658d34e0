// What the application says when it does not start, without a database.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../src/schema.js';

test('pending migrations are run with npm', () => {
  assert.match(explain({ code: '55000', message: '1 migration is not applied', hint: 'SELECT * FROM migrate.apply();' }),
    /^hint: npm run migrate:up$/m);
});

test('no migration helps where the library is too old', () => {
  assert.match(explain({ code: '55000', hint: 'Connect again.',
    message: 'the library of extension "dbmigrate" in this session is too old' }), /^hint: Connect again\.$/m);
  assert.match(explain({ code: '42883', message: 'could not find function "dbmigrate_require_1_1" in file "dbmigrate.so"' }),
    /^hint: .*connect again/m);
});
