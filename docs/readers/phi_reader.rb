# frozen_string_literal: true

# Reads values of the form base64(iv):base64(tag):base64(ciphertext), AES-256-GCM, under the new key or the old one.
# For the time of a rotation: keys are [new, old]. What opens under neither raises; no placeholder ever stands in for a value.
require "openssl"

module PhiReader
  # The value opens under neither key. It is not repeated.
  class Unreadable < StandardError; end

  module_function

  # `keys`: 64 hex digits each, the new key first. NULL stays nil; what was never encrypted is the caller's to know.
  def decrypt(stored, keys)
    return nil if stored.nil?

    parts = stored.split(":", -1)
    raise Unreadable, "the value is no ciphertext" unless parts.length == 3

    iv, tag, ciphertext = bytes_of(parts[0], 16), bytes_of(parts[1], 16), bytes_of(parts[2])
    keys.each do |key|
      plaintext = open_under(key, iv, tag, ciphertext)
      return plaintext if plaintext
    end
    raise Unreadable, "the value opens under neither key"
  end

  # Keyed hashes to search by, one for each key: rows that are not rotated yet have the old one.
  def search_hashes(normalized, keys)
    keys.map do |key|
      subkey = OpenSSL::HMAC.digest("SHA256", [key].pack("H*"), "patient-dedup-v1")
      OpenSSL::HMAC.hexdigest("SHA256", subkey, normalized)
    end
  end

  def open_under(key, iv, tag, ciphertext)
    cipher = OpenSSL::Cipher.new("aes-256-gcm").decrypt
    cipher.key = [key].pack("H*")
    cipher.iv_len = iv.bytesize
    cipher.iv = iv
    cipher.auth_tag = tag
    cipher.auth_data = ""
    plaintext = ciphertext.empty? ? +"" : cipher.update(ciphertext)
    plaintext << cipher.final
    plaintext.force_encoding(Encoding::UTF_8)
    plaintext.valid_encoding? ? plaintext : nil
  rescue OpenSSL::Cipher::CipherError
    nil # not this key, or damaged: the next one says
  end

  def bytes_of(text, length = nil)
    bytes = text.unpack1("m0")
    raise ArgumentError if [bytes].pack("m0") != text || (length && bytes.bytesize != length)

    bytes
  rescue ArgumentError
    raise Unreadable, "the value is no ciphertext"
  end
  private_class_method :open_under, :bytes_of
end
