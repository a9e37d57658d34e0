// Writes a directory of node-pg-migrate migrations as SQL files, one each,
// with the same base names, so that migrate.adopt() finds them in pgmigrations.
//
//     DATABASE_URL=postgres://localhost/scratch node to-sql.mjs migrations sql
//
// The database has to be empty: the migrations are run in it, one by one, and
// each one's SQL is what the tool's own dry run prints just before (up) and
// just after (down).  SQL migrations are copied as they are.
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { runner } from 'node-pg-migrate';

const [from, to] = process.argv.slice(2);
if (!from || !to || !process.env.DATABASE_URL) {
  console.error('usage: DATABASE_URL=<an empty database> node to-sql.mjs FROM TO');
  process.exit(2);
}

const table = 'pgmigrations';
const common = { databaseUrl: process.env.DATABASE_URL, dir: from, migrationsTable: table, count: 1 };

async function run(direction, dryRun) {
  const printed = [];
  const quiet = () => {};
  const logger = { debug: (text) => printed.push(text), info: quiet, warn: quiet, error: console.error };
  const done = await runner({ ...common, direction, dryRun, singleTransaction: true, verbose: true, logger });
  return { name: done[0]?.name, path: done[0]?.path, sql: printed.at(-1) };
}

// What the tool prints ends with its own bookkeeping; a migration outside of a
// transaction has a COMMIT before and a BEGIN after it.
function withoutBookkeeping(sql) {
  const end = Math.max(
    sql.lastIndexOf(`\nINSERT INTO "public"."${table}"`),
    sql.lastIndexOf(`\nDELETE FROM "public"."${table}"`),
  );
  const text = end < 0 ? '' : sql.slice(0, end);
  return text.replace(/^COMMIT;(\n|$)/, '').trim();
}

async function downOf(name) {
  try {
    return withoutBookkeeping((await run('down', true)).sql);
  } catch (error) {
    if (!/disabled down/.test(error.message)) throw error;
    console.error(`${name}: no way back (down = false)`);
    return null;
  }
}

const files = (await readdir(from)).filter((file) => !file.startsWith('.'));
await mkdir(to, { recursive: true });
for (let i = 0; i < files.length; i++) {
  const before = await run('up', true);
  if (!before.name) break;
  const file = files.find((one) => basename(one, extname(one)) === before.name);
  if (/\bpgm\s*\.\s*db\b/.test(await readFile(join(from, file), 'utf8')))
    console.error(`${file}: reads the database (pgm.db); its SQL fits an empty one only, look at it`);
  await run('up', false);
  const target = join(to, `${before.name}.sql`);
  if (extname(file) === '.sql') {
    await copyFile(join(from, file), target);
    continue;
  }
  const down = await downOf(file);
  let text = `-- Up Migration\n${withoutBookkeeping(before.sql)}\n`;
  if (down !== null) text += `\n-- Down Migration\n${down}\n`;
  await writeFile(target, text);
}
