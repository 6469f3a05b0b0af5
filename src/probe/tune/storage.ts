/** A storage's URL as it may be shown and written down. */
export function hidePassword(storage: string): string {
  return storage.replace(/^(\w[\w+.-]*:\/\/[^/@:]*):[^@/]*@/, '$1:***@');
}
