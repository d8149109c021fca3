//! Models read range by range: as mapped ones, through a bounded window, and with reads that fail.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::rows;
use super::write::{Gguf, size};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::load::{Bytes, ModelFiles, ReadFuture, Source, TensorId};
use crate::quant::WeightFormat;
use crate::{Engine, wgpu};

const MIB: u64 = 1 << 20;

/// What was read of a source.
#[derive(Default)]
struct Reads {
    /// Bytes of the largest read.
    largest: u64,
    /// The most bytes of reads that were in use at once.
    most_in_use: usize,
    /// How many bytes of each read are still in use.
    in_use: Vec<Box<dyn Fn() -> usize + Send>>,
}

/// Bytes that are copied range by range, each after a wait.
pub(super) struct Ranged {
    bytes: Vec<u8>,
    /// Zeros between the first `gap.start` bytes and the others.
    gap: Range<u64>,
    /// Reads that hold this byte fail.
    fails_at: Option<u64>,
    reads: Arc<Mutex<Reads>>,
}

impl Ranged {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, gap: 0..0, fails_at: None, reads: Arc::default() }
    }

    fn read_now(&self, range: Range<u64>) -> io::Result<Bytes> {
        assert!(range.start <= range.end && range.end <= self.size(), "{range:?} is not in the file");
        if self.fails_at.is_some_and(|at| range.contains(&at)) {
            return Err(io::Error::other("the network is down"));
        }
        let byte = |at: u64| match at {
            at if at < self.gap.start => self.bytes[at as usize],
            at if at < self.gap.end => 0,
            at => self.bytes[(at - (self.gap.end - self.gap.start)) as usize],
        };
        let (from, to) = (range.start as usize, range.end as usize);
        let bytes = match self.gap.is_empty() {
            true => self.bytes[from..to].to_vec(),
            false => range.clone().map(byte).collect(),
        };
        let bytes = Bytes::from(bytes);
        let mut reads = self.reads.lock().unwrap();
        reads.largest = reads.largest.max(range.end - range.start);
        reads.in_use.retain(|in_use| in_use() > 0);
        reads.in_use.push(Box::new(bytes.watch()));
        reads.most_in_use = reads.most_in_use.max(reads.in_use.iter().map(|in_use| in_use()).sum());
        Ok(bytes)
    }
}

impl Source for Ranged {
    fn size(&self) -> u64 {
        self.bytes.len() as u64 + self.gap.end - self.gap.start
    }

    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        let mut waited = false;
        Box::pin(std::future::poll_fn(move |context| {
            if !waited {
                waited = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.read_now(range.clone()))
        }))
    }
}

/// Opens a model from sources.
pub(super) fn ranged<S: Source + 'static>(
    folder: &str,
    files: impl IntoIterator<Item = (impl Into<String>, S)>,
) -> Result<ModelFiles> {
    let files = files.into_iter().map(|(name, source)| (name.into(), Box::new(source) as Box<dyn Source>));
    pollster::block_on(ModelFiles::from_sources(folder, files))
}

/// Both have the same configuration, tokenizer and tensors.
#[track_caller]
fn assert_same(a: &ModelFiles, b: &ModelFiles) {
    assert_eq!(a.config(), b.config());
    assert_eq!(a.norm_offset(), b.norm_offset());
    assert_eq!(format!("{:?}", a.tokenizer()), format!("{:?}", b.tokenizer()));
    for id in TensorId::all(a.config()) {
        let (a, b) = (a.tensor(id).unwrap(), b.tensor(id).unwrap());
        assert_eq!((&a.name, a.format, a.rows, a.cols), (&b.name, b.format, b.rows, b.cols));
        assert!(pollster::block_on(rows(&a)).unwrap() == pollster::block_on(rows(&b)).unwrap(), "{}", a.name);
    }
}

/// Opens every file of a folder as a source.
fn sources<S>(folder: &Path, open: impl Fn(&Path) -> S) -> Vec<(String, S)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), open(&path))).collect()
}

#[test]
fn sources_of_all_kinds_give_the_same_model() {
    let goldens = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden"));
    let gguf = tempfile::tempdir().unwrap();
    fs::write(gguf.path().join("tiny.gguf"), Gguf::model("gemma3").bytes()).unwrap();
    for folder in [&goldens.join("tiny-random-gemma2"), &goldens.join("tiny-random-gemma3"), gguf.path()] {
        let mapped = ModelFiles::open(folder).unwrap();
        let name = folder.to_str().unwrap();
        let in_ranges = sources(folder, |path| Ranged::new(fs::read(path).unwrap()));
        assert_same(&mapped, &ranged(name, in_ranges).unwrap());
        let in_memory = sources(folder, |path| Bytes::from(fs::read(path).unwrap()));
        assert_same(&mapped, &ModelFiles::from_bytes(name, in_memory).unwrap());
    }
}

/// A model whose embedding takes several reads, 13 MB in all.
fn large() -> Gguf {
    let mut file = Gguf::model("gemma2");
    let embedding = file.tensor("token_embd.weight");
    embedding.dims[1] = 400_000;
    embedding.bytes = (0..size(embedding.kind, &embedding.dims)).map(|i| (i % 113) as u8).collect();
    file
}

/// wgpu's backend that computes nothing.
fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(device, queue, false)
}

#[test]
fn a_model_loads_through_a_bounded_window() {
    let source = Ranged::new(large().bytes());
    let (size, reads) = (source.size(), source.reads.clone());
    let files = ranged("", [("large.gguf", source)]).unwrap();
    assert!(reads.lock().unwrap().largest <= 8 * MIB);
    Engine::from_files(files).weights(WeightFormat::F32).gpu(noop()).build_blocking().unwrap();
    let reads = reads.lock().unwrap();
    assert!(size > 12 * MIB && reads.largest <= 8 * MIB, "a read of {} bytes of {size}", reads.largest);
    assert!(reads.most_in_use as u64 <= 8 * MIB, "{} bytes in use at once", reads.most_in_use);
    assert_eq!(reads.in_use.iter().map(|in_use| in_use()).sum::<usize>(), 0);
}

#[test]
fn tensors_beyond_4_gib() {
    let gap = 5 << 30;
    let mut file = Gguf::model("gemma2");
    let near = ModelFiles::from_bytes("", [("a.gguf", file.bytes().into())]).unwrap();
    let data: usize = file.tensors.iter().map(|tensor| tensor.bytes.len().next_multiple_of(file.alignment)).sum();
    let mut offset = gap;
    for tensor in &mut file.tensors {
        tensor.offset = Some(offset);
        offset += tensor.bytes.len().next_multiple_of(file.alignment) as u64;
    }
    let bytes = file.bytes();
    // The last tensor has no padding.
    let last = file.tensors.last().unwrap().bytes.len();
    let start = (bytes.len() - data + last.next_multiple_of(file.alignment) - last) as u64;
    let far = Ranged { gap: start..start + gap, ..Ranged::new(bytes) };
    assert_same(&near, &ranged("", [("a.gguf", far)]).unwrap());
}

#[test]
fn reads_that_fail_name_the_file_and_the_offset() {
    let io = |result: Result<ModelFiles>, words: &[&str]| {
        let error = super::fails(result, words);
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
    };
    let failing = |bytes: Vec<u8>, at: u64| Ranged { fails_at: Some(at), ..Ranged::new(bytes) };
    let gguf = Gguf::model("gemma2").bytes();
    io(ranged("", [("a.gguf", failing(gguf, 100))]), &["cannot read a.gguf", "at byte 0", "the network is down"]);
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/tiny-random-gemma3"));
    for (name, at, offset) in [("config.json", 3, 0), ("model.safetensors", 4, 0), ("model.safetensors", 100, 8)] {
        let open = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            if path.ends_with(name) { failing(bytes, at) } else { Ranged::new(bytes) }
        };
        io(ranged("web", sources(golden, open)), &["web", name, &format!("at byte {offset}: the network is down")]);
    }

    // In the middle of the weights: the model opens, and loading it fails.
    let bytes = large().bytes();
    let middle = bytes.len() as u64 / 2 + 2 * MIB;
    let files = ranged("", [("large.gguf", failing(bytes, middle))]).unwrap();
    let built = Engine::from_files(files).weights(WeightFormat::F32).gpu(noop()).build_blocking();
    let Err(Error::Io { path, source }) = built else {
        panic!("it was loaded, or failed in another way");
    };
    assert_eq!(path.to_str(), Some("large.gguf"));
    let text = source.to_string();
    let offset = text.strip_prefix("at byte ").and_then(|text| text.split(':').next()?.parse::<u64>().ok()).unwrap();
    assert!((middle - 4 * MIB..=middle).contains(&offset), "{text}");
}

/// Gives fewer bytes than it is asked for.
struct Short(Bytes);

impl Source for Short {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        self.0.read(range.start..range.end.saturating_sub(1))
    }
}

#[test]
fn reads_that_are_short() {
    let bytes = Bytes::from(Gguf::model("gemma2").bytes());
    super::fails(ranged("", [("a.gguf", Short(bytes.clone()))]), &["a.gguf", "at byte 0"]);
    for range in [5..11, 11..12, u64::MAX - 1..u64::MAX] {
        assert!(pollster::block_on(bytes.slice(0..10).unwrap().read(range.clone())).is_err(), "{range:?}");
    }
    assert!(bytes.slice(4..bytes.len() + 1).is_none());
    assert_eq!(bytes.slice(4..20).unwrap().slice(2..6).unwrap()[..], bytes[6..10]);
}

#[test]
fn files_that_are_missing() {
    super::fails(ranged("web", [] as [(&str, Bytes); 0]), &["there is no file"]);
    let config = |json: String| ranged("web", [("config.json", Bytes::from(json.into_bytes()))]);
    super::fails(config(super::write::hub_config(false).to_string()), &["web", "model.safetensors"]);
    // A model that does not run is refused before its weights are asked for.
    super::fails(config(r#"{"model_type": "llama"}"#.to_owned()), &["llama", "gemma2"]);
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/tiny-random-gemma2"));
    let mut files = sources(golden, |path| Bytes::map(path).unwrap());
    files.retain(|(name, _)| name != "model-00002-of-00003.safetensors");
    let missing = Path::new("web").join("model-00002-of-00003.safetensors");
    super::fails(ranged("web", files), &[&format!("cannot read {}", missing.display())]);
}

#[test]
fn opening_and_reading_can_move_to_another_thread() {
    fn assert_send<T: Send>(_: &T) {}
    let source = || Box::new(Ranged::new(Gguf::model("gemma2").bytes())) as Box<dyn Source>;
    assert_send(&ModelFiles::from_sources("", [("a.gguf".to_owned(), source())]));
    let files = ranged("", [("a.gguf", Ranged::new(Gguf::model("gemma2").bytes()))]).unwrap();
    assert_send(&files);
    assert_send(&files.tensor(TensorId::Embedding).unwrap().read_rows(0, 1));
}
