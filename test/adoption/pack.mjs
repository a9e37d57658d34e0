// Prints the files below a directory as JSON, {"folder/name": "text", ...}, as
// migrate.add_files() takes them.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const files = {};
function walk(directory, prefix) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) walk(join(directory, entry.name), `${prefix}${entry.name}/`);
    else files[prefix + entry.name] = readFileSync(join(directory, entry.name), 'utf8');
  }
}
walk(process.argv[2], '');
console.log(JSON.stringify(files));
