import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The file operations whose failures a spool must survive. Real in production; tests pass one that fails. */
export interface Disk {
  /** A new, empty file; its name is durable when this resolves. */
  create(path: string): Promise<DiskFile>;
  /** Replaces a file in one step that is durable when this resolves. */
  replace(path: string, content: string): Promise<void>;
  remove(path: string): Promise<void>;
}

export interface DiskFile {
  /** Writes all of `bytes`. Rejects with part of them written. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Resolves when what was written is on the disk. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export const nodeDisk: Disk = {
  async create(path) {
    const handle = await open(path, 'w');
    try {
      await syncFolder(dirname(path));
    } catch (error) {
      await handle.close();
      throw error;
    }
    return {
      async write(bytes, position) {
        for (let done = 0; done < bytes.length;) {
          const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
          done += bytesWritten;
        }
      },
      sync: () => handle.datasync(),
      truncate: (bytes) => handle.truncate(bytes),
      close: () => handle.close(),
    };
  },
  async replace(path, content) {
    const temporary = `${path}.new`;
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  },
  remove: (path) => rm(path, { force: true }),
};

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Windows cannot sync a folder, and does not need to.
    if (process.platform !== 'win32') throw error;
  } finally {
    await handle.close();
  }
}
