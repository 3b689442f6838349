/**
 * `text` with everything in it that a terminal or a reader of lines could take for more than text, in JSON's notation:
 * controls, line separators, and what turns the direction of text or hides. Inside JSON the result means the same.
 */
export function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (character) => {
    let escaped = '';
    for (let i = 0; i < character.length; i++) escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
    return escaped;
  });
}
