<?php
declare(strict_types=1);

/** A request that was refused (4xx), or that nobody answered as often as it was tried. */
final class SynclineException extends RuntimeException
{
    /** @param array<string, mixed> $problem the answer's body: code, detail, row, column, … */
    public function __construct(string $message, public readonly int $status, public readonly array $problem = [])
    {
        parent::__construct($message);
    }
}

/**
 * Sends row changes to Syncline over HTTP. A request is repeated, with the same Idempotency-Key, until it is answered:
 * its changes are applied once, whatever happened on the way.
 */
final class Syncline
{
    private CurlHandle $curl;

    public function __construct(
        private string $url,
        private string $token = '',
        private int $attempts = 6,
        private float $timeoutSeconds = 30.0,
        private bool $gzip = false,
    ) {
        $this->curl = curl_init();
    }

    /**
     * @param list<array{table: string, op?: string, row?: array<string, mixed>, key?: array<mixed>}> $changes
     * @param string $ack 'applied' waits for the database, 'stored' for the queue
     * @param string|null $key what happened, such as "order-4711-created", if it is to be sent again after this program died
     * @return array<string, mixed> ack, changes, and with 'applied': applied, rejected, rejections
     */
    public function send(array $changes, string $ack = 'applied', ?string $key = null): array
    {
        $key ??= bin2hex(random_bytes(16));
        $body = json_encode($changes, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION);
        for ($attempt = 1; ; $attempt++) {
            [$status, $answer, $retryAfter] = $this->post("/api/v1/changes?ack=$ack", $body, $key);
            if ($status === 200 || $status === 202) {
                return $answer;
            }
            $again = $status === 0 || $status >= 500 || in_array($status, [408, 409, 429], true);
            if (!$again || $attempt >= $this->attempts) {
                throw new SynclineException($answer['detail'] ?? 'no answer', $status, $answer);
            }
            // Twice as long each time, and not all at the same moment.
            usleep((int) (1e6 * max($retryAfter, 0.1 * 2 ** $attempt) * (0.5 + mt_rand() / mt_getrandmax() / 2)));
        }
    }

    /** @return array{int, array<string, mixed>, float} status (0 without an answer), body, seconds to wait */
    private function post(string $path, string $body, string $key): array
    {
        $headers = ['Content-Type: application/json', "Idempotency-Key: $key", 'Expect:'];
        if ($this->token !== '') {
            $headers[] = "Authorization: Bearer $this->token";
        }
        if ($this->gzip) {
            $headers[] = 'Content-Encoding: gzip';
            $body = gzencode($body);
        }
        $retryAfter = 0.0;
        curl_setopt_array($this->curl, [
            CURLOPT_URL => $this->url . $path,
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT_MS => 3000,
            CURLOPT_TIMEOUT_MS => (int) ($this->timeoutSeconds * 1000),
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$retryAfter): int {
                if (stripos($line, 'retry-after:') === 0) {
                    $retryAfter = (float) substr($line, 12);
                }
                return strlen($line);
            },
        ]);
        $answer = curl_exec($this->curl);
        if ($answer === false) {
            return [0, ['detail' => curl_error($this->curl)], $retryAfter];
        }
        return [curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE), json_decode($answer, true) ?? [], $retryAfter];
    }
}
