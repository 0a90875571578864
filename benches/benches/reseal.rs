//! One field on one thread: open + seal + open again + compare, its parts, classification, blind index; and what the ciphers and the
//! encodings take by themselves, as the measure of what is ours.
//!
//! Where a pool works, each measurement is a batch of many equal fields, so that a field's time is the batch's divided by its number;
//! criterion prints it as throughput. Everything else is one value per iteration.
use aes_gcm::{
    AesGcm, KeyInit,
    aead::{
        AeadInOut,
        array::ArraySize,
        consts::{U12, U16},
    },
    aes::Aes256,
};
use base64_simd::STANDARD;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use data_encoding::HEXLOWER;
use reencrypt_benches::{PLATFORM, Table, cipher, keys, sealed};
use reencrypt_crypto::{Expect, Format, Pool};
use std::hint::black_box;

const EMAIL: &[u8] = b"zoe.obrien@example.com";
const PRESETS: [&str; 6] =
    [PLATFORM, "gcm-triple-b64-iv12", "gcm-triple-hex-iv12", "gcm-blob-b64-iv12", "gcm-bytes-iv12", "gcm-bytes-iv16"];
/// Bytes of plaintext.
const LENGTHS: [usize; 7] = [8, 22, 64, 256, 1024, 4096, 65536];

/// Rows for a batch of about 256 KiB, at least one job and at most 2,000.
fn rows(plaintext_len: usize) -> usize {
    ((256 << 10) / (plaintext_len + 64)).clamp(32, 2000)
}

fn reseal(c: &mut Criterion) {
    let pool = Pool::new(1);
    let mut group = c.benchmark_group("reseal");
    for preset in PRESETS {
        let cipher = cipher(preset, false, &keys());
        for len in LENGTHS {
            let table = Table::of(rows(len), &[Some(sealed(preset, &b"x ".repeat(len / 2), false))]);
            group.throughput(Throughput::Elements(rows(len) as u64));
            group.bench_with_input(BenchmarkId::new(preset, len), &table, |b, table| {
                b.iter(|| pool.reseal(&cipher, table, Expect::Old));
            });
        }
    }
}

/// The crate's own seal and open of the same bytes in place, once each, with its key schedule ready: nothing parsed, nothing encoded.
fn bare(c: &mut Criterion) {
    let mut group = c.benchmark_group("bare");
    bare_with::<U12>(&mut group, "aes-256-gcm-iv12");
    bare_with::<U16>(&mut group, "aes-256-gcm-iv16");
}

fn bare_with<N: ArraySize>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str)
where
    AesGcm<Aes256, N>: AeadInOut<NonceSize = N> + KeyInit,
{
    let cipher = AesGcm::<Aes256, N>::new_from_slice(&[1; 32]).expect("a key of 32 bytes");
    let iv = aes_gcm::Nonce::<N>::default();
    for len in LENGTHS {
        let mut buffer = b"x ".repeat(len / 2);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new(name, len), |b| {
            b.iter(|| {
                let tag = cipher.encrypt_inout_detached(&iv, &[], buffer.as_mut_slice().into()).expect("sealed");
                cipher.decrypt_inout_detached(&iv, &[], buffer.as_mut_slice().into(), &tag).expect("opened");
            });
        });
    }
}

fn classify(c: &mut Criterion) {
    let pool = Pool::new(1);
    let mut group = c.benchmark_group("classify");
    let mut measure = |preset: &str, name: String, value: Vec<u8>, len: usize| {
        let cipher = cipher(preset, false, &keys());
        let table = Table::of(rows(len), &[Some(value)]);
        group.throughput(Throughput::Elements(rows(len) as u64));
        group.bench_with_input(BenchmarkId::new(name, len), &table, |b, table| {
            b.iter(|| pool.classify(&cipher, table, Expect::New));
        });
    };
    for preset in PRESETS {
        for len in LENGTHS {
            measure(preset, format!("new/{preset}"), sealed(preset, &b"x ".repeat(len / 2), true), len);
        }
    }
    measure(PLATFORM, format!("old/{PLATFORM}"), sealed(PLATFORM, EMAIL, false), EMAIL.len());
    let plaintext = b"12 Rue de l'Eglise, Apt 3, Bldg 4: Floor 2: Rm 201";
    measure(PLATFORM, "plaintext".to_owned(), plaintext.to_vec(), plaintext.len());
}

/// A value taken apart, without a key; and what it takes to write the parts of one, in the encodings that the layouts use.
fn parse_and_encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for preset in PRESETS {
        let format = Format::preset(preset).expect("a preset");
        for len in LENGTHS {
            let value = sealed(preset, &b"x ".repeat(len / 2), false);
            group.bench_function(BenchmarkId::new(preset, len), |b| b.iter(|| format.matches_shape(black_box(&value))));
        }
    }
    group.finish();

    let mut group = c.benchmark_group("encode");
    for len in LENGTHS {
        let parts = [vec![1; 16], vec![2; 16], vec![3; len]];
        let mut text = vec![0; STANDARD.encoded_length(len).max(2 * len) + 64];
        group.bench_function(BenchmarkId::new("base64", len), |b| {
            b.iter(|| {
                for part in &parts {
                    black_box(STANDARD.encode(black_box(part), base64_simd::Out::from_slice(&mut text)));
                }
            });
        });
        group.bench_function(BenchmarkId::new("hex", len), |b| {
            b.iter(|| {
                for part in &parts {
                    HEXLOWER.encode_mut(black_box(part), &mut text[..2 * part.len()]);
                }
            });
        });
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

criterion_group!(benches, reseal, bare, classify, parse_and_encode, blind_index);
criterion_main!(benches);
