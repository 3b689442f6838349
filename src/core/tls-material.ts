/** What a server speaks TLS with: PEM texts, not paths. Checked: they fit each other. */
export interface TlsMaterial {
  /** The server's own certificate first, then those between it and the authority. */
  readonly cert: string;
  readonly key: string;
  /** Who signs the certificates of clients. There wherever {@link clientCertificates} is not `off`. */
  readonly clientCa?: string;
  /** `optional` takes clients without a certificate too; one that is not valid is refused in any case. */
  readonly clientCertificates: 'off' | 'optional' | 'required';
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}
