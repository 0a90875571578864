<?php

declare(strict_types=1);

// Reads values of the form base64(iv):base64(tag):base64(ciphertext), AES-256-GCM, under the new key or the old one.
// For the time of a rotation: keys are [new, old]. What opens under neither throws; no placeholder ever stands in for a value.
namespace PhiReader;

/** The value opens under neither key. It is not repeated. */
final class Unreadable extends \RuntimeException
{
}

/**
 * NULL stays null; what was never encrypted is the caller's to know.
 *
 * @param list<string> $keys 64 hex digits each, the new key first
 */
function decrypt(#[\SensitiveParameter] ?string $stored, #[\SensitiveParameter] array $keys): ?string
{
    if ($stored === null) {
        return null;
    }
    $parts = explode(':', $stored);
    if (count($parts) !== 3) {
        throw new Unreadable('the value is no ciphertext');
    }
    // A tag of another length must not get through: openssl_decrypt would compare as many bytes as it is given.
    [$iv, $tag, $ciphertext] = [bytes_of($parts[0], 16), bytes_of($parts[1], 16), bytes_of($parts[2])];
    foreach ($keys as $key) {
        $plaintext = openssl_decrypt($ciphertext, 'aes-256-gcm', hex2bin($key), OPENSSL_RAW_DATA, $iv, $tag);
        // Not this key, or damaged: the next one says.
        if ($plaintext !== false && preg_match('//u', $plaintext) === 1) {
            return $plaintext;
        }
    }
    throw new Unreadable('the value opens under neither key');
}

/**
 * Keyed hashes to search by, one for each key: rows that are not rotated yet have the old one.
 *
 * @param list<string> $keys
 * @return list<string>
 */
function search_hashes(#[\SensitiveParameter] string $normalized, #[\SensitiveParameter] array $keys): array
{
    return array_map(function (string $key) use ($normalized): string {
        $subkey = hash_hmac('sha256', 'patient-dedup-v1', hex2bin($key), true);
        return hash_hmac('sha256', $normalized, $subkey);
    }, $keys);
}

function bytes_of(#[\SensitiveParameter] string $text, ?int $length = null): string
{
    $bytes = base64_decode($text, true);
    if ($bytes === false || base64_encode($bytes) !== $text || ($length !== null && strlen($bytes) !== $length)) {
        throw new Unreadable('the value is no ciphertext');
    }
    return $bytes;
}
