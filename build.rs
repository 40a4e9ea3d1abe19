//! Compiles the protobuf files with protox, so that no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files = Vec::new();
    for folder in ["proto/concordat/ledger/v1", "proto/concordat/record/v1", "proto/concordat/v1"] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path);
            }
        }
    }
    files.sort();
    let descriptors = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .include_source_info(false)
        .open_files(files)?
        .encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), &descriptors)?;
    let set =
        protox::prost_reflect::prost_types::FileDescriptorSet::decode(descriptors.as_slice())?;
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".")
        .include_file("concordat.rs")
        .compile_fds(set)?;
    Ok(())
}
