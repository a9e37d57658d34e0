// Flyway's checksum of a file: CRC-32 of its lines without their ends, signed.
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';

const lines = readFileSync(process.argv[2], 'utf8').replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
console.log(crc32(lines.join('')) | 0);
