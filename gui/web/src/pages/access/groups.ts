/** groupsOf reads names of groups that somebody typed, separated by commas. */
export function groupsOf(text: string): string[] {
  return [...new Set(text.split(',').map((g) => g.trim()).filter(Boolean))];
}
