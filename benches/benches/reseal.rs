//! One field on one thread: open + seal + open again + compare, parse and encode, classification, blind index.
//!
//! Each measurement is a batch of many equal fields through the pool, so that a field's time is the batch's divided by its
//! number; criterion prints it as throughput.
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use reencrypt_benches::{PLATFORM, Table, cipher, keys, sealed};
use reencrypt_crypto::{Expect, Format, Pool};
use std::hint::black_box;

const EMAIL: &[u8] = b"zoe.obrien@example.com";

/// Rows for a batch of about 256 KiB, at least one job and at most 2,000.
fn rows(plaintext_len: usize) -> usize {
    ((256 << 10) / (plaintext_len + 64)).clamp(32, 2000)
}

fn reseal(c: &mut Criterion) {
    let pool = Pool::new(1);
    let mut group = c.benchmark_group("reseal");
    for preset in [PLATFORM, "gcm-triple-hex-iv12", "gcm-blob-b64-iv12", "gcm-bytes-iv12"] {
        let cipher = cipher(preset, false, &keys());
        for len in [8, 22, 64, 256, 1024, 4096, 65536] {
            let table = Table::of(rows(len), &[Some(sealed(preset, &b"x ".repeat(len / 2), false))]);
            group.throughput(Throughput::Elements(rows(len) as u64));
            group.bench_with_input(BenchmarkId::new(preset, len), &table, |b, table| {
                b.iter(|| pool.reseal(&cipher, table, Expect::Old));
            });
        }
    }
}

fn classify(c: &mut Criterion) {
    let pool = Pool::new(1);
    let cipher = cipher(PLATFORM, false, &keys());
    let mut group = c.benchmark_group("classify");
    let values = [
        ("new", sealed(PLATFORM, EMAIL, true)),
        ("old", sealed(PLATFORM, EMAIL, false)),
        ("plaintext", b"12 Rue de l'Eglise, Apt 3, Bldg 4: Floor 2: Rm 201".to_vec()),
    ];
    for (name, value) in values {
        let table = Table::of(2000, &[Some(value)]);
        group.throughput(Throughput::Elements(2000));
        group.bench_with_input(BenchmarkId::new(name, EMAIL.len()), &table, |b, table| {
            b.iter(|| pool.classify(&cipher, table, Expect::New));
        });
    }
}

fn shape(c: &mut Criterion) {
    let mut group = c.benchmark_group("shape");
    for preset in [PLATFORM, "gcm-triple-hex-iv12", "gcm-blob-b64-iv12"] {
        let format = Format::preset(preset).expect("a preset");
        let value = sealed(preset, EMAIL, false);
        group.bench_function(preset, |b| b.iter(|| format.matches_shape(black_box(&value))));
    }
}

fn blind_index(c: &mut Criterion) {
    let pool = Pool::new(1);
    let mut group = c.benchmark_group("blind_index");
    for hashed in [false, true] {
        let cipher = cipher(PLATFORM, hashed, &keys());
        let table = Table::of(2000, &[Some(sealed(PLATFORM, EMAIL, false)), Some(vec![b'0'; 64])]);
        group.throughput(Throughput::Elements(2000));
        group.bench_with_input(BenchmarkId::new("reseal", hashed), &table, |b, table| {
            b.iter(|| pool.reseal(&cipher, table, Expect::Old));
        });
    }
}

criterion_group!(benches, reseal, classify, shape, blind_index);
criterion_main!(benches);
