/** Stands in every planted secret, and nowhere else. */
const MARK = 'cnry';

/** Secrets that tests plant, to look for them afterwards wherever they must not be. */
export class Canaries {
  readonly #secrets: string[] = [];
  readonly #texts: (readonly [where: string, text: string])[] = [];

  /** A secret that nothing else is; `special` ones hold what has a meaning in URLs, too. */
  make(characters: 'plain' | 'special' = 'plain'): string {
    const secret = `${characters === 'special' ? '%@/:#?' : ''}${MARK}${this.#secrets.length}.0123456789`;
    this.#secrets.push(secret);
    return secret;
  }

  /** What was seen at some place, to be searched. */
  saw(where: string, text: string): void {
    this.#texts.push([where, text]);
  }

  /** Where a secret was seen: as it is or encoded for a URL, or a part of it; or whole in base64 or as hex digits. */
  get leaks(): string[] {
    const encoded = (['base64', 'base64url', 'hex'] as const).flatMap((form) =>
      this.#secrets.map((secret) => Buffer.from(secret).toString(form)),
    );
    return this.#texts.flatMap(([where, text]) => {
      const form = [MARK, ...encoded].find((one) => text.includes(one));
      return form === undefined ? [] : [`${where}: ${around(text, form)}`];
    });
  }

  /** Characters that were searched. */
  get searched(): number {
    return this.#texts.reduce((sum, [, text]) => sum + text.length, 0);
  }
}

function around(text: string, form: string): string {
  const at = text.indexOf(form);
  return text.slice(Math.max(0, at - 100), at + form.length + 20).replaceAll('\n', ' ');
}
