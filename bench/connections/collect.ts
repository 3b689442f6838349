/** Loaded into a server that is measured: SIGUSR2 collects its garbage and gives the memory back. Needs `--expose-gc`. */
process.on('SIGUSR2', () => {
  (globalThis as { gc?: (options: object) => void }).gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
});
