/** Loaded into a server that is measured: SIGUSR2 collects its garbage. Needs `--expose-gc`. */
process.on('SIGUSR2', () => (globalThis as { gc?: () => void }).gc?.());
