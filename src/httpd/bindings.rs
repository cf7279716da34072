//! httpd's declarations, made by bindgen from the headers of the httpd that this is built for (build.rs).

#![allow(
    // the names are C's
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    // what bindgen writes is not ours to polish
    dead_code,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    unnecessary_transmutes,
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
