// The service on a database of its own.  Wants DATABASE_URL of a role that may
// create databases and the extension dbmigrate.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

const project = fileURLToPath(new URL('..', import.meta.url));
const database = `http_test_${process.pid}`;
const there = new URL(process.env.DATABASE_URL);
there.pathname = `/${database}`;
const env = {
  ...process.env,
  DATABASE_URL: there.href,
  PORT: '0',
  READ_TOKEN: 'a token that may look'.replaceAll(' ', '-'),
  WRITE_TOKEN: 'a token that may change'.replaceAll(' ', '-'),
};

async function connect(connectionString) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  return client;
}

async function query(text, connectionString = there.href) {
  const client = await connect(connectionString);
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

let child;
let address;

async function call(method, body, token = env.WRITE_TOKEN, path = '/api/migrations') {
  const response = await fetch(`${address}${path}`, {
    method,
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    body: typeof body === 'object' ? JSON.stringify(body) : body,
  });
  assert.match(response.headers.get('content-type'), /^application\/json/);
  return { status: response.status, headers: response.headers, answer: await response.json() };
}

before(async () => {
  await query(`CREATE DATABASE ${database}`, process.env.DATABASE_URL);
  await query(`CREATE EXTENSION dbmigrate;
    SELECT migrate.add('001', 'books', 'CREATE TABLE books (title text)', 'DROP TABLE books'),
           migrate.add('002', 'first_books', 'INSERT INTO books VALUES (''Fuenteovejuna'')', 'DELETE FROM books'),
           migrate.add('003', 'authors', 'CREATE TABLE authors (name text)', 'DROP TABLE authors')`);
  child = spawn(process.execPath, ['src/server.js'], { cwd: project, env });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { err += text; });
  const [text] = await Promise.race([once(child.stdout.setEncoding('utf8'), 'data'), once(child, 'close').then(() => [err])]);
  address = text.match(/listening on (\S+)/)?.[1];
  assert.ok(address, text);
});

after(async () => {
  if (child?.exitCode === null) {
    child.kill('SIGTERM');
    assert.equal((await once(child, 'close'))[0], 0, 'it stops when asked to');
  }
  await query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`, process.env.DATABASE_URL);
});

test('without tokens the service does not start', () => {
  const { status, stderr } = spawnSync(process.execPath, ['src/server.js'],
    { cwd: project, env: { ...env, WRITE_TOKEN: '' }, encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /WRITE_TOKEN/);
});

test('401 and 403: who may look, who may change', async () => {
  for (const token of [undefined, '', 'somebody', `${env.READ_TOKEN}x`]) {
    const { status, headers } = await call('GET', undefined, token ?? null);
    assert.equal(status, 401);
    assert.equal(headers.get('www-authenticate'), 'Bearer');
    assert.equal((await call('POST', {}, token ?? null)).status, 401);
  }
  assert.equal((await call('GET', undefined, env.READ_TOKEN)).status, 200);
  assert.equal((await call('POST', {}, env.READ_TOKEN)).status, 403);
  assert.deepEqual(await query('SELECT * FROM migrate.applied'), []);
});

test('GET says what is pending', async () => {
  const { status, answer } = await call('GET', undefined);
  assert.equal(status, 200);
  assert.deepEqual(answer, {
    status: {
      appliedMigrations: [],
      pendingMigrations: ['001_books', '002_first_books', '003_authors'],
      lastMigration: null,
      isUpToDate: false,
    },
    message: '3 migrations are pending',
  });
});

test('POST goes up and down, by steps and to versions', async () => {
  const names = async (body) => {
    const { status, answer } = await call('POST', body);
    assert.equal(status, 200, answer.message);
    assert.equal(answer.success, true);
    return answer.results.map((result) => `${result.direction} ${result.name}`);
  };
  assert.deepEqual(await names({ steps: 1 }), ['up 001_books']);
  assert.deepEqual(await names({ to: '002' }), ['up 002_first_books']);
  assert.deepEqual(await names(undefined), ['up 003_authors']);
  assert.deepEqual(await names({}), []);
  assert.deepEqual(await names({ direction: 'down' }), ['down 003_authors']);
  assert.deepEqual(await names({ direction: 'down', to: '0' }), ['down 002_first_books', 'down 001_books']);
  assert.deepEqual(await names({ direction: 'up' }), ['up 001_books', 'up 002_first_books', 'up 003_authors']);
  assert.equal((await call('GET', undefined)).answer.status.lastMigration, '003_authors');
});

test('400, 404, 405 and 413: what cannot be meant', async () => {
  for (const body of ['{', '[]', 'null', '"up"', { steps: 0 }, { steps: '1' }, { steps: 1.5 }, { steps: 2 ** 31 },
    { direction: 'sideways' }, { to: 3 }, { version: '003' }, { to: 'x; DROP TABLE books' }, { direction: 'down', steps: 99 },
    { steps: 1, to: '003' }]) {
    const { status, answer } = await call('POST', body);
    assert.equal(status, 400, `${JSON.stringify(body)}: ${answer.message}`);
    assert.equal(answer.success, false);
  }
  assert.equal((await call('POST', { to: '999' })).status, 404);
  assert.equal((await call('GET', undefined, env.WRITE_TOKEN, '/api')).status, 404);
  assert.equal((await call('DELETE', undefined)).status, 405);
  assert.equal((await call('POST', ' '.repeat(20_000))).status, 413);
  assert.deepEqual(await query('SELECT count(*)::int FROM migrate.applied'), [{ count: 3 }]);
});

test('409: another run, and a refusal', async () => {
  await query("SELECT migrate.add('004', 'more', 'CREATE TABLE more ()', 'DROP TABLE more')");
  const other = await connect(there.href);
  try {
    await other.query('BEGIN; SELECT FROM migrate.apply()');
    const { status, headers, answer } = await call('POST', {});
    assert.equal(status, 409);
    assert.equal(answer.sqlstate, '55P03');
    assert.ok(headers.get('retry-after'));
    await other.query('ROLLBACK');
  } finally {
    await other.end();
  }
  await query(`ALTER DATABASE ${database} SET dbmigrate.environment = 'production'`);
  // the connections that are there do not know yet
  await query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = '${database}' AND pid <> pg_backend_pid()`);
  for (;;) {
    const { status, answer } = await call('POST', { direction: 'down' });
    if (answer.sqlstate === '57P01' || status === 503) continue;
    assert.equal(status, 409, answer.message);
    assert.match(answer.message, /needs a confirmation/);
    break;
  }
  assert.equal((await call('POST', { direction: 'down', confirm: database })).status, 200);
  assert.equal((await call('POST', {})).status, 200);
});

test('500: a migration that fails leaves nothing, and says where', async () => {
  await query(`SELECT migrate.add('005', 'fine', 'CREATE TABLE fine ()', 'DROP TABLE fine'),
    migrate.add('006', 'fails', E'SELECT 1;\\n\\nINSERT INTO nowhere VALUES (1);', '')`);
  const { status, answer } = await call('POST', {});
  assert.equal(status, 500);
  const [{ timestamp, ...failed }, ...rest] = answer.results;
  assert.ok(Date.parse(timestamp));
  assert.deepEqual(rest, []);
  assert.deepEqual(failed, { name: '006_fails', direction: 'up', success: false });
  assert.deepEqual({ ...answer, results: [] }, {
    results: [],
    success: false,
    message: 'relation "nowhere" does not exist',
    sqlstate: '42P01',
    detail: null,
    hint: null,
    migration: '006_fails',
    statement: 2,
    line: 3,
  });
  assert.deepEqual(await query("SELECT to_regclass('fine') AS fine"), [{ fine: null }]);
  assert.deepEqual(await query("SELECT sqlstate, failed_line FROM migrate.history WHERE action = 'failed'"),
    [{ sqlstate: '42P01', failed_line: 3 }]);
});

test('a database that is gone is 503 or 500, and not the end of the service', async () => {
  await query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = '${database}' AND pid <> pg_backend_pid()`);
  let { status } = await call('GET', undefined);
  for (let tries = 0; status !== 200 && tries < 10; tries++) {
    assert.ok(status === 500 || status === 503, `${status}`);
    ({ status } = await call('GET', undefined));
  }
  assert.equal(status, 200);
});
