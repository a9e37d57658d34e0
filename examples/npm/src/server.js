// A library's catalogue over HTTP:
//   GET /health           200 while the database answers
//   GET /books?title=...  the books whose title has these words in it

import { createServer } from 'node:http';
import pg from 'pg';
import { explain, requireSchema } from './schema.js';

// Without DATABASE_URL pg takes libpq's own variables: PGHOST, PGUSER, ...
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 10_000 });
// an idle connection that breaks is replaced by the pool
pool.on('error', (error) => console.error(`database: ${error.message}`));

async function answer(request) {
  const url = new URL(request.url, 'http://localhost');
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /health':
      await pool.query('SELECT 1');
      return [200, { status: 'ok' }];
    case 'GET /books': {
      const { rows } = await pool.query('SELECT * FROM find_books($1)', [url.searchParams.get('title') ?? '']);
      return [200, rows];
    }
    default:
      return [404, { error: 'not found' }];
  }
}

const server = createServer(async (request, response) => {
  let status, body;
  try {
    [status, body] = await answer(request);
  } catch (error) {
    console.error(`${request.method} ${request.url}: ${error.message}`);
    [status, body] = [503, { error: 'unavailable' }];
  }
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
});

try {
  await requireSchema(pool);
} catch (error) {
  console.error(explain(error));
  process.exit(1);
}

server.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close(() => pool.end());
    server.closeIdleConnections();
  });
}
