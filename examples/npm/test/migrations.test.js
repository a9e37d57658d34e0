// The npm scripts and the application together, on a database of their own.
// Wants DATABASE_URL or PGHOST, ... of a role that may create databases and
// the extension dbmigrate, and the command dbmigrate in PATH.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

const project = fileURLToPath(new URL('..', import.meta.url));
const database = `library_test_${process.pid}`;
const env = { ...process.env, PGDATABASE: database };
if (env.DATABASE_URL) {
  const url = new URL(env.DATABASE_URL);
  url.pathname = `/${database}`;
  env.DATABASE_URL = url.href;
}

const newest = '20260126101500';

async function query(settings, text) {
  const client = new pg.Client(settings);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const administrator = { connectionString: process.env.DATABASE_URL };
const inDatabase = (text) =>
  query(env.DATABASE_URL ? { connectionString: env.DATABASE_URL } : { database }, text);

function npm(script, ...args) {
  const result = spawnSync('npm', ['run', '--silent', script, '--', ...args],
    { cwd: project, env, encoding: 'utf8' });
  assert.ifError(result.error);
  return { code: result.status, out: result.stdout, err: result.stderr };
}

// Starts the application: the address it listens on, or why it did not.
async function start() {
  const child = spawn(process.execPath, ['src/server.js'], { cwd: project, env: { ...env, PORT: '0' } });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
  child.stderr.setEncoding('utf8').on('data', (text) => { err += text; });
  const closed = once(child, 'close');
  await Promise.race([closed, once(child.stdout, 'data')]);
  const address = out.match(/listening on (\S+)/)?.[1];
  const stop = async () => {
    child.kill('SIGTERM');
    return (await closed)[0];
  };
  if (!address) await closed;
  return { address, err, code: child.exitCode, stop };
}

async function refusesToStart(...messages) {
  const { address, err, code, stop } = await start();
  if (address) await stop();
  assert.equal(address, undefined, 'it started');
  assert.equal(code, 1);
  for (const message of messages) assert.match(err, message);
  assert.match(err, /^hint: npm run migrate:up$/m);
  assert.doesNotMatch(err, /\n\s+at /, 'a message, not a stack trace');
}

before(async () => {
  await query(administrator, `CREATE DATABASE ${database}`);
  await inDatabase('CREATE EXTENSION dbmigrate');
});

after(async () => {
  await query(administrator, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
});

test('nothing is registered: the application does not start', async () => {
  await refusesToStart(/migration 20260126101500 is required but not applied/);
});

test('migrate:status says what is pending and changes nothing', async () => {
  const { code, out, err } = npm('migrate:status');
  assert.equal(code, 0, err);
  assert.match(out, /0 applied, 4 pending/);
  assert.equal(npm('migrate:status', '--check').code, 3);
  assert.deepEqual(await inDatabase('SELECT version FROM migrate.migration'), []);
});

test('migrate:up applies all, then the application starts and answers', async () => {
  const { code, out, err } = npm('migrate:up');
  assert.equal(code, 0, err);
  assert.match(out, /4 migrations applied/);

  const { address, stop } = await start();
  assert.ok(address);
  try {
    const health = await fetch(`${address}/health`);
    assert.equal(health.status, 200);
    const books = await (await fetch(`${address}/books?title=MER`)).json();
    assert.deepEqual(books,
      [{ title: 'Vingt mille lieues sous les mers', author: 'Jules Verne', published: 1870 }]);
    const hostile = await fetch(`${address}/books?title=${encodeURIComponent("'; DROP TABLE books; --")}`);
    assert.deepEqual(await hostile.json(), []);
    assert.equal((await fetch(`${address}/nothing`)).status, 404);
  } finally {
    assert.equal(await stop(), 0, 'it stops when asked to');
  }
  assert.match(npm('migrate:up').out, /nothing to apply/);
});

test('seed: in development only, and again when the file has changed', async () => {
  const titles = async () => (await inDatabase('SELECT title FROM books ORDER BY title')).map((row) => row.title);
  const before = await titles();
  assert.equal(npm('seed').code, 0);
  assert.deepEqual(await titles(), before, 'nobody said that this is a development database');

  await inDatabase(`ALTER DATABASE ${database} SET dbmigrate.environment = 'development'`);
  const { code, out, err } = npm('seed');
  assert.equal(code, 0, err);
  assert.match(out, /R__sample_books|sample_books/);
  const seeded = await titles();
  assert.equal(seeded.length, before.length + 2);
  assert.ok(seeded.includes('Gösta Berlings saga'));
  assert.match(npm('seed').out, /nothing to apply/);

  const seeds = mkdtempSync(join(tmpdir(), 'library-seeds-'));
  try {
    const file = 'R__sample_books.sql';
    const text = readFileSync(join(project, 'seeds', file), 'utf8');
    writeFileSync(join(seeds, file), text.replace('Gösta Berlings saga', 'Jerusalem'));
    const changed = npm('seed', '--dir', seeds);
    assert.equal(changed.code, 0, changed.err);
    assert.ok((await titles()).includes('Jerusalem'));
  } finally {
    rmSync(seeds, { recursive: true });
  }
  // the seeds are not in the way of the migrations
  assert.match(npm('migrate:status').out, /4 applied, 0 pending/);
  const { address, stop } = await start();
  assert.ok(address);
  await stop();
  await inDatabase(`ALTER DATABASE ${database} RESET dbmigrate.environment`);
  await inDatabase("DELETE FROM books WHERE title IN ('Gösta Berlings saga', 'Jerusalem', 'Memórias Póstumas de Brás Cubas')");
});

test('migrate:down takes the last one back, then the application does not start', async () => {
  const { code, out, err } = npm('migrate:down');
  assert.equal(code, 0, err);
  assert.match(out, new RegExp(`${newest}`));
  await refusesToStart(/migration 20260126101500 is required but not applied/, /detail: Its state is "pending"/);
  assert.match(npm('migrate:status').out, /3 applied, 1 pending/);
});

test('migrate:down takes a number; all the way back leaves nothing', async () => {
  assert.equal(npm('migrate:down', '3').code, 0);
  assert.deepEqual(await inDatabase("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"), []);
  assert.equal(npm('migrate:up').code, 0);
});

test('a migration that only the database knows and has not run stops the application', async () => {
  await inDatabase("SELECT migrate.add('20991231235959', 'from_a_branch', 'SELECT 1')");
  try {
    await refusesToStart(/1 migration is not applied/, /20991231235959/);
    // and migrate:up does not run what no file of this release says
    const { code, err } = npm('migrate:up');
    assert.equal(code, 1);
    assert.match(err, /20991231235959 from_a_branch/);
  } finally {
    await inDatabase("SELECT migrate.remove('20991231235959')");
  }
});

test('migrate:create writes a file to fill in; a migration that fails changes nothing', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'library-'));
  try {
    const created = npm('migrate:create', '--dir', directory, 'add reviews');
    assert.equal(created.code, 0, created.err);
    const [file] = readdirSync(directory);
    assert.match(file, /^\d{14}_add_reviews\.sql$/);
    const template = readFileSync(join(directory, file), 'utf8');
    assert.match(template, /^-- Up Migration$[^]*^-- Down Migration$/m);

    cpSync(join(project, 'migrations'), directory, { recursive: true });
    writeFileSync(join(directory, file), template.replace(/^-- Down Migration$/m, `
CREATE TABLE reviews (book_id bigint REFERENCES books, stars integer);
CREATE INDEX ON reviews (starz);
$&
DROP TABLE reviews;`));
    const failed = npm('migrate:up', '--dir', directory);
    assert.equal(failed.code, 1);
    assert.match(failed.err, /column "starz" does not exist/);
    assert.match(failed.err, /migration \d{14} "add_reviews" \(up\), statement 2 at line \d+/);
  } finally {
    rmSync(directory, { recursive: true });
  }
  assert.match(npm('migrate:status').out, /4 applied, 0 pending/);
  assert.deepEqual(await inDatabase("SELECT to_regclass('reviews') AS reviews"), [{ reviews: null }]);
});
