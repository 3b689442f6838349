/** The environment without options of Syncline, which are meant for a server or another client. */
export function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('SYNCLINE_')));
}
