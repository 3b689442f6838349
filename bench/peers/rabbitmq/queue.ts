/** What publisher and consumer agree upon. */
export const QUEUE = 'changes';

/** The type that RabbitMQ recommends where the safety of data matters; it was no slower than a classic one. */
export const QUEUE_OPTIONS = { durable: true, arguments: { 'x-queue-type': 'quorum' } } as const;
