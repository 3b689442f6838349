/** Serves this folder's page and the client's bundle: `npm run build`, then `node examples/browser/serve.ts [port]`. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const port = Number(process.argv[2] ?? 8080);
const FILES = new Map([
  ['/', { path: new URL('index.html', import.meta.url), type: 'text/html; charset=utf-8' }],
  ['/client.js', { path: new URL('../../dist/browser/client.js', import.meta.url), type: 'text/javascript' }],
  ['/client.js.map', { path: new URL('../../dist/browser/client.js.map', import.meta.url), type: 'application/json' }],
]);

if (!existsSync(FILES.get('/client.js')!.path)) {
  console.error('there is no dist/browser/client.js; run: npm run build');
  process.exit(1);
}

// Read once: a build in the meantime changes nothing here.
const files = new Map([...FILES].map(([name, { path, type }]) => [name, { bytes: readFileSync(path), type }]));

const server = createServer((request, response) => {
  const file = files.get(new URL(request.url ?? '/', 'http://localhost').pathname);
  if (file === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': file.type }).end(file.bytes);
});
server.listen(port, '127.0.0.1', () => {
  const origin = `http://127.0.0.1:${port}`;
  console.log(`open ${origin}; the server must let its pages in: SYNCLINE_WEB_ORIGINS=${origin} npx syncline start`);
});
