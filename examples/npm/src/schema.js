// Is the schema there that this release was written for?

import { readdir } from 'node:fs/promises';

const migrations = new URL('../migrations/', import.meta.url);

// The version of the newest file that came with this release.
async function newestVersion() {
  const names = (await readdir(migrations)).filter((name) => /^\d{14}_.*\.sql$/.test(name));
  if (names.length === 0) {
    throw new Error('this release came without its directory migrations/');
  }
  return names.sort().at(-1).slice(0, 14);
}

// Throws what the server says: 55000 if something is pending.  The first call
// asks for this release's own newest migration, which the database may never
// have heard of; the second for everything that the database knows.
export async function requireSchema(client) {
  await client.query('SELECT migrate.require($1), migrate.require()', [await newestVersion()]);
}

// What to do about it, in words for whoever started the application.
const remedies = {
  '55000': 'npm run migrate:up',
  '3F000': 'dbmigrate init, as a superuser, creates the extension in this database',
  '42883': 'the extension in this database and the library of this session have different versions: '
    + 'connect again, a pooler too; if that does not help, ALTER EXTENSION dbmigrate UPDATE',
  '42501': 'GRANT USAGE ON SCHEMA migrate TO ...; GRANT EXECUTE ON FUNCTION migrate.require TO ...',
};

// Where the extension itself is the trouble, no migration helps, and the server knows what does.
function remedy(error) {
  return /extension "dbmigrate"/.test(error.message) ? error.hint : remedies[error.code];
}

export function explain(error) {
  const lines = [`not started: ${error.message || error.code}`];
  if (error.detail) lines.push(`detail: ${error.detail}`);
  if (remedy(error)) lines.push(`hint: ${remedy(error)}`);
  return lines.join('\n');
}
