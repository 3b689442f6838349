/** What the server is run with, wherever we start it: see `bin/syncline.js`. */
export const SERVER_FLAGS: readonly string[] = [
  '--disallow-code-generation-from-strings',
  '--disable-proto=throw',
  '--report-exclude-env',
  '--max-semi-space-size=8',
];
