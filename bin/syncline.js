#!/usr/bin/env node
// The command `syncline`. On Node.js >= 24.15 it runs the program: src/main.ts in a clone, dist/main.js in the package.
// On an older one it runs itself again with the Node.js that a clone pins, or says what is missing. Everything here
// must parse and run on old versions: no top-level await, no `??`, nothing younger than Node.js 12.
/* oxlint-disable typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-return -- plain JavaScript, without types */
/* oxlint-disable unicorn/prefer-node-protocol -- Node.js 12 does not know node: */
import { spawn } from 'child_process';
import { existsSync } from 'fs';
import { dirname, join } from 'path';
import { fileURLToPath } from 'url';

const WANTED = [24, 15];
// Set for the second run, so that a pinned Node.js that is too old itself does not start a third.
const RELAUNCHED = 'SYNCLINE_RELAUNCHED';

// What the server reads from others never becomes code, no name of theirs reaches a prototype, a report of a crash holds no
// variables, and new objects of the main thread get 16 MB, which Node.js would let grow to 128. It takes this at its start
// only. Also in package.json, deploy/Dockerfile and the tests.
const SERVER_FLAGS = [
  '--disallow-code-generation-from-strings',
  '--disable-proto=throw',
  '--report-exclude-env',
  '--max-semi-space-size=8',
];

const here = dirname(fileURLToPath(import.meta.url));

function main() {
  const relaunched = process.env[RELAUNCHED] !== undefined;
  delete process.env[RELAUNCHED];
  if (isNewEnough(process.versions.node)) return process.argv[2] === 'start' && becomeServer() ? undefined : load();
  const pinned = relaunched ? undefined : pinnedNode();
  if (pinned !== undefined) return relaunch(pinned);
  process.stderr.write(
    'syncline: needs Node.js ' +
      WANTED.join('.') +
      ' or newer, and this is ' +
      process.versions.node +
      ' (' +
      process.execPath +
      '); ' +
      'install a newer one from https://nodejs.org or with your version manager, or run "npm ci" in a clone, which brings its own\n',
  );
  process.exitCode = 1;
}

function isNewEnough(version) {
  const parts = version.split('.').map(Number);
  return parts[0] > WANTED[0] || (parts[0] === WANTED[0] && parts[1] >= WANTED[1]);
}

/** Runs this again in the same process, with the flags of the server. False where that is done, or cannot be. */
function becomeServer() {
  const given = process.execArgv.concat((process.env.NODE_OPTIONS || '').split(/[ "]+/)).map((flag) => flag.replace(/_/g, '-'));
  const missing = SERVER_FLAGS.filter((flag) => !given.includes(flag) && !(isOwnChoice(flag) && given.some((one) => isOwnChoice(one))));
  // Windows cannot exchange the program of a process.
  if (missing.length === 0 || process.platform === 'win32' || process.execve === undefined) return false;
  const args = missing.concat(process.execArgv, process.argv.slice(1));
  process.execve(process.execPath, [process.execPath].concat(args), process.env);
  return true;
}

/** Whoever gives it another value knows why. */
function isOwnChoice(flag) {
  return flag.startsWith('--max-semi-space-size=');
}

function load() {
  const source = join(here, '..', 'src', 'main.ts');
  const entry = existsSync(source) ? '../src/main.ts' : '../dist/main.js';
  import(entry).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

/** node_modules/.bin/node beside this file or in a folder above it. */
function pinnedNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  for (let folder = here; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', '.bin', name);
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

function relaunch(node) {
  const args = process.execArgv.concat(fileURLToPath(import.meta.url), process.argv.slice(2));
  const child = spawn(node, args, { stdio: 'inherit', env: Object.assign({}, process.env, { [RELAUNCHED]: '1' }) });
  // A terminal sends SIGINT to both of us; passed on, it would count as the second one.
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const signal of signals) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !onTerminal) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    process.stderr.write('syncline: cannot run ' + node + ': ' + error.message + '\n');
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const one of signals) process.removeAllListeners(one);
    process.kill(process.pid, signal);
  });
}

main();
