require "json"
require ARGV.fetch(0)
asked = JSON.parse($stdin.read.force_encoding(Encoding::UTF_8))
values = asked["values"].map do |value|
  { opened: PhiReader.decrypt(value, asked["keys"]) }
rescue PhiReader::Unreadable => e
  { raised: e.message }
end
puts JSON.generate({ values: values, hashes: PhiReader.search_hashes(asked["normalized"], asked["keys"]) })
