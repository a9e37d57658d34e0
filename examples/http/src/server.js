// Migrations over HTTP:
//   GET  /api/migrations   what is applied, what is pending
//   POST /api/migrations   {"direction": "up" or "down", "steps": 1, "to": "003", "confirm": "database"},
//                          all of them optional; up and everything pending is the default

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import pg from 'pg';

const BODY_LIMIT = 10_000;

// Who knows the first may look, who knows the second may also change.
const tokens = { read: process.env.READ_TOKEN, write: process.env.WRITE_TOKEN };
for (const [right, token] of Object.entries(tokens)) {
  if (!token || token.length < 16) {
    console.error(`not started: ${right.toUpperCase()}_TOKEN wants at least 16 characters`);
    process.exit(1);
  }
}

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  connectionTimeoutMillis: 10_000,
  // somebody waits for the answer: another run is told rather than waited for
  options: '-c dbmigrate.lock_wait=1s -c dbmigrate.progress=off',
});
// an idle connection that breaks is replaced by the pool
pool.on('error', (error) => console.error(`database: ${error.message}`));

// What is neither the caller's mistake nor a conflict is a 500.
const statuses = {
  22004: 400, // a null where none may be
  22023: 400, // a count or a version that cannot be one
  '3F000': 404, // no such schema
  42704: 404, // no such version
  42501: 403, // not granted to the role of DATABASE_URL, or nobody trusted vouches for a script
  '55P03': 409, // another run
  55000: 409, // refused: a changed text, out of order, no confirmation in production
  25001: 409, // an online migration, which is for CALL migrate.run()
};

class HttpError extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

const digest = (text) => createHash('sha256').update(text).digest();
const isToken = (given, token) => timingSafeEqual(digest(given), digest(token));

function authorize(request, isChange) {
  const given = request.headers.authorization?.match(/^Bearer +(\S+)$/i)?.[1] ?? '';
  if (isToken(given, tokens.write)) return;
  if (!isToken(given, tokens.read)) {
    throw new HttpError(401, 'who are you?', { 'WWW-Authenticate': 'Bearer' });
  }
  if (isChange) throw new HttpError(403, 'this token may only look');
}

async function readBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_LIMIT) throw new HttpError(413, 'the body is too long', { Connection: 'close' });
    chunks.push(chunk);
  }
  if (length === 0) return {};
  let body;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new HttpError(400, 'the body is not JSON');
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw new HttpError(400, 'the body is not a JSON object');
  }
  const unknown = Object.keys(body).filter((key) => !['direction', 'steps', 'to', 'confirm'].includes(key));
  if (unknown.length > 0) throw new HttpError(400, `not known: ${unknown.join(', ')}`);
  return body;
}

function check({ direction = 'up', steps = null, to = null, confirm = null }) {
  if (direction !== 'up' && direction !== 'down') throw new HttpError(400, 'direction is "up" or "down"');
  if (steps !== null && !(Number.isInteger(steps) && steps > 0 && steps < 2 ** 31)) {
    throw new HttpError(400, 'steps is a number from 1');
  }
  for (const [key, value] of Object.entries({ to, confirm })) {
    if (value !== null && typeof value !== 'string') throw new HttpError(400, `${key} is a string`);
  }
  return { direction, steps, to, confirm };
}

async function status() {
  const { rows } = await pool.query('SELECT migrate.status_json() AS answer');
  return [200, rows[0].answer];
}

async function migrate(request) {
  const { direction, steps, to, confirm } = check(await readBody(request));
  const { rows } = direction === 'up'
    ? await pool.query('SELECT migrate.apply_json(steps => $1, to_version => $2, errors_as_data => true) AS answer',
      [steps, to])
    : await pool.query('SELECT migrate.rollback_json(steps => $1, to_version => $2, confirm => $3, errors_as_data => true) AS answer',
      [to === null ? steps ?? 1 : steps, to, confirm]);
  const { answer } = rows[0];
  if (answer.success) return [200, answer];
  // what a migration's own statement raises is nobody's conflict
  return [answer.migration === null ? statuses[answer.sqlstate] ?? 500 : 500, answer];
}

async function answer(request) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname !== '/api/migrations') throw new HttpError(404, 'not found');
  if (request.method !== 'GET' && request.method !== 'POST') {
    throw new HttpError(405, 'GET or POST', { Allow: 'GET, POST' });
  }
  authorize(request, request.method === 'POST');
  return request.method === 'GET' ? status() : migrate(request);
}

const server = createServer(async (request, response) => {
  let code, body, headers = {};
  try {
    [code, body] = await answer(request);
    if (code === 409) headers = { 'Retry-After': '10' };
  } catch (error) {
    if (!(error instanceof HttpError)) console.error(`${request.method} ${request.url}: ${error.message}`);
    code = error.status ?? statuses[error.code] ?? (error.code ? 500 : 503);
    headers = error.headers ?? {};
    body = { success: false, message: error.message, sqlstate: error.code ?? null };
  }
  response.writeHead(code, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store', ...headers });
  response.end(JSON.stringify(body));
});

server.listen(Number(process.env.PORT ?? 3001), process.env.HOST ?? '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close(() => pool.end());
    server.closeIdleConnections();
  });
}
