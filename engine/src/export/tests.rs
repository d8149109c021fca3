use std::fs;
use std::path::Path;

use super::*;
use crate::config::Config;
use crate::load::{Bytes, TokenizerSource};
use crate::tokenizer::Tokenizer;

fn options(recipe: Recipe) -> GgufOptions {
    GgufOptions { recipe, overwrite: false, importance: None }
}

fn write(files: &ModelFiles, path: &Path, recipe: Recipe) -> Result<()> {
    pollster::block_on(files.write_gguf(path, &options(recipe), &mut |_| true))
}

fn guide() -> ModelFiles {
    ModelFiles::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../app/guide/model")).unwrap()
}

/// All values of a tensor.
fn values(files: &ModelFiles, id: TensorId) -> Vec<f32> {
    let view = files.tensor(id).unwrap();
    let mut values = vec![0.0; view.rows * view.cols];
    let mut row = 0;
    while row < view.rows {
        let bytes = pollster::block_on(view.read_rows(row, view.rows)).unwrap();
        let count = bytes.len() / view.row_bytes();
        view.format.dequantize(&bytes, &mut values[row * view.cols..][..count * view.cols]);
        row += count;
    }
    values
}

#[test]
fn a_written_model_is_the_same_model() {
    let files = guide();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guide.gguf");
    write(&files, &path, Recipe::Pure(WeightFormat::F32)).unwrap();
    let written = ModelFiles::open(&path).unwrap();
    assert_eq!(written.config(), files.config());
    assert_eq!(written.name(), files.name());
    for id in TensorId::all(files.config()) {
        let (was, is) = (values(&files, id), values(&written, id));
        let offset = if id.is_norm() { files.norm_offset() } else { 0.0 };
        assert!(was.iter().zip(&is).all(|(was, is)| was + offset == *is) && was.len() == is.len(), "{id:?}");
    }
    assert!(files.chat_template_text().is_some_and(|text| text.contains("<start_of_turn>")));
    assert_eq!(written.chat_template_text(), files.chat_template_text());
    let load = |files: &ModelFiles| Tokenizer::load(files.tokenizer(), files.config().vocab_size).unwrap();
    let (ours, theirs) = (load(&written), load(&files));
    for text in ["How do I open a model?", "<start_of_turn>user\nÀ  bientôt 🚀<end_of_turn>\n", "  a\tb"] {
        assert_eq!(ours.decode(&ours.encode(text).unwrap()).unwrap(), text);
        assert_eq!(ours.encode(text).unwrap(), theirs.encode(text).unwrap(), "{text}");
    }
}

#[test]
fn every_recipe_quantises_as_loading_does() {
    let files = guide();
    let folder = tempfile::tempdir().unwrap();
    for recipe in Recipe::all() {
        let path = folder.path().join(format!("{recipe}.gguf"));
        write(&files, &path, recipe).unwrap();
        let written = ModelFiles::open(&path).unwrap();
        let id = TensorId::Layer(1, crate::load::LayerTensor::Gate);
        let format = recipe.format_of(id, files.config());
        let view = written.tensor(id).unwrap();
        assert_eq!(view.format, format, "{recipe}");
        let mut expected = Vec::new();
        for row in values(&files, id).chunks(view.cols) {
            format.quantize(row, &mut expected);
        }
        let bytes = pollster::block_on(view.read_rows(0, view.rows)).unwrap();
        assert!(bytes[..] == expected[..], "{recipe}");
        assert!(fs::metadata(&path).unwrap().len() >= recipe.bytes(files.config()));
    }
}

#[test]
fn a_file_that_is_there_is_kept_and_a_stopped_one_leaves_nothing() {
    let files = guide();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guide.gguf");
    fs::write(&path, "mine").unwrap();
    let recipe = Recipe::Pure(WeightFormat::Q8_0);
    assert!(matches!(write(&files, &path, recipe), Err(Error::Write { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let other = folder.path().join("other.gguf");
    let stopped = pollster::block_on(files.write_gguf(&other, &options(recipe), &mut |p| p.done < p.total / 2));
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(
        write(&files, &folder.path().join("no/such/folder.gguf"), recipe).unwrap_err().to_string().contains("write")
    );
}

#[test]
fn models_without_a_vocabulary_and_gemma_3_are_written_too() {
    let folder = tempfile::tempdir().unwrap();
    let small = Config {
        hidden_size: 64,
        embedding_scale: 8.0,
        intermediate_size: 96,
        num_layers: 7,
        layers: Config::of_shape("gemma-3-1b").unwrap().layers[..7].to_vec(),
        vocab_size: 300,
        stop_ids: vec![1, 106],
        ..Config::of_shape("gemma-3-1b").unwrap()
    };
    let files = ModelFiles::synthetic(small.clone(), WeightFormat::F32, "tiny");
    let path = folder.path().join("tiny.gguf");
    write(&files, &path, Recipe::Pure(WeightFormat::Bf16)).unwrap();
    let written = ModelFiles::open(&path).unwrap();
    assert_eq!(*written.config(), small);
    assert!(matches!(written.tokenizer(), TokenizerSource::Missing { .. }));
}

/// The guide with another `generation_config.json`, and without a template.
fn guide_that_ends_with(eos: &str) -> ModelFiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../app/guide/model");
    let read = |name: &str| (name.to_owned(), Bytes::from(fs::read(folder.join(name)).unwrap()));
    let mut files = ["config.json", "tokenizer.json", "model.safetensors"].map(read).to_vec();
    let generation = format!(r#"{{"eos_token_id": {eos}}}"#);
    files.push(("generation_config.json".to_owned(), Bytes::from(generation.into_bytes())));
    ModelFiles::from_bytes("guide", files).unwrap()
}

#[test]
fn what_ends_a_reply_is_kept_and_a_base_model_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guide.gguf");
    for (eos, ends) in [("1", vec![1]), ("[1, 9]", vec![1, 9])] {
        let files = guide_that_ends_with(eos);
        let options = GgufOptions { overwrite: true, ..options(Recipe::Pure(WeightFormat::Q8_0)) };
        pollster::block_on(files.write_gguf(&path, &options, &mut |_| true)).unwrap();
        let written = ModelFiles::open(&path).unwrap();
        assert_eq!(written.config().stop_ids, ends);
        let engine = crate::Engine::from_files(written).context(256).build_blocking().unwrap();
        assert_eq!(engine.chat_template(), crate::load::ChatTemplate::Missing, "{eos}");
    }
}

#[test]
fn what_gguf_has_no_key_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let small =
        Config { hidden_size: 64, intermediate_size: 96, vocab_size: 300, ..Config::of_shape("gemma-2-2b").unwrap() };
    let stop_ids = vec![1];
    let small = Config { embedding_scale: 8.0, num_layers: 2, layers: small.layers[..2].to_vec(), stop_ids, ..small };
    let mut scaled = small.layers.clone();
    scaled[0].rope_scale = 8.0;
    for (config, field) in [
        (Config { attn_soft_cap: None, ..small.clone() }, "attn_logit_softcapping"),
        (Config { final_soft_cap: None, ..small.clone() }, "final_logit_softcapping"),
        (Config { layers: scaled, ..small.clone() }, "RoPE"),
    ] {
        let files = ModelFiles::synthetic(config, WeightFormat::F32, "tiny");
        let path = folder.path().join("tiny.gguf");
        let error = write(&files, &path, Recipe::Pure(WeightFormat::Bf16)).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains(field)), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn an_importance_is_measured_and_used() {
    let (files, path) = (guide(), tempfile::tempdir().unwrap());
    let engine = crate::Engine::from_files(guide()).context(256).build_blocking().unwrap();
    let text = "How do I open a model? Drop a .gguf file on the window. ".repeat(40);
    let tokens = engine.tokenizer().unwrap().encode_plain(&text).unwrap();
    let measured = pollster::block_on(Importance::measure(&engine, &tokens, &mut |_| true)).unwrap();
    let matrices = TensorId::all(files.config()).into_iter().filter(|id| !id.is_norm());
    for id in matrices {
        let columns = measured.of(id).unwrap_or_else(|| panic!("{id:?} was not measured"));
        assert_eq!(columns.len(), id.shape(files.config())[1], "{id:?}");
        assert!(columns.iter().all(|mean| mean.is_finite() && *mean >= 0.0), "{id:?}");
        assert!(columns.iter().sum::<f32>() > 0.0, "{id:?}");
    }
    // Norms give rows of a mean square of 1 before their weights, so the first input is that of the first norm.
    let query = TensorId::Layer(0, crate::load::LayerTensor::Query);
    let norm = values(&files, TensorId::Layer(0, crate::load::LayerTensor::InputNorm));
    let mean = |id| measured.of(id).unwrap().iter().sum::<f32>();
    let most = norm.iter().map(|weight| (weight + files.norm_offset()).powi(2)).fold(0.0, f32::max);
    assert!(mean(query) <= most * norm.len() as f32);
    let mut errors = [0.0_f64; 2];
    for (error, importance) in errors.iter_mut().zip([None, Some(measured.clone())]) {
        let out = path.path().join(format!("{}.gguf", importance.is_some()));
        let options = GgufOptions { importance, ..options(Recipe::Pure(WeightFormat::Q4K)) };
        pollster::block_on(files.write_gguf(&out, &options, &mut |_| true)).unwrap();
        let written = ModelFiles::open(&out).unwrap();
        for id in TensorId::all(files.config()).into_iter().filter(|id| !id.is_norm()) {
            let columns = measured.of(id).unwrap();
            let pairs = values(&files, id).into_iter().zip(values(&written, id)).enumerate();
            *error += pairs.map(|(i, (a, b))| f64::from((a - b).powi(2) * columns[i % columns.len()])).sum::<f64>();
        }
    }
    // How much less depends on the weights: of the guide's it is 9 %.
    assert!(errors[1] < 0.95 * errors[0], "{errors:?}");
}

#[test]
fn importance_files_of_llama_cpp_are_read() {
    let config = guide().config().clone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imatrix.dat");
    let id = TensorId::Layer(2, crate::load::LayerTensor::Down);
    let [_, cols] = id.shape(&config);
    let file = |name: &str, values: &[f32]| {
        let mut bytes = 1_i32.to_le_bytes().to_vec();
        bytes.extend((name.len() as i32).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend([7_i32, values.len() as i32].map(i32::to_le_bytes).concat());
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes
    };
    let sums: Vec<f32> = (0..cols).map(|i| i as f32).collect();
    let good = file(&id.gguf_name(), &sums);
    assert!(Importance::is_file(&good[..8]) && !Importance::is_file(b"A plain text"));
    fs::write(&path, &good).unwrap();
    let read = Importance::read(&path, &config).unwrap();
    assert_eq!(read.of(id), Some(&sums[..]));
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Importance::read(&path, &config).unwrap_err().to_string()
    };
    for end in [0, 3, 9, 20, good.len() - 1] {
        assert!(refused(&good[..end]).contains("imatrix.dat"), "{end}");
    }
    assert!(refused(&file("blk.99.ffn_down.weight", &sums)).contains("another model"));
    assert!(refused(&file(&id.gguf_name(), &sums[1..])).contains("another model"));
    assert!(refused(&file(&id.gguf_name(), &vec![f32::NAN; cols])).contains("make it again"));
    assert!(refused(&[1, 0, 0, 0, 255, 255, 255, 127, 0]).contains("no importance matrix"));
    assert!(refused(b"GGUF and then nothing").contains("imatrix.dat"));
}
