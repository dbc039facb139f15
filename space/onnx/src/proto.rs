//! The part of ONNX's `onnx.proto` that is needed here, field by field.
#![allow(missing_docs)] // the names are the format's own

use prost::Message;

/// Element types.
pub mod kind {
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const BOOL: i32 = 9;
    pub const FLOAT16: i32 = 10;
    pub const DOUBLE: i32 = 11;

    /// Names of all element types by number, and the bits of one element; 0 for text.
    pub const NAMES: [(&str, u64); 25] = [
        ("undefined", 0),
        ("float32", 32),
        ("uint8", 8),
        ("int8", 8),
        ("uint16", 16),
        ("int16", 16),
        ("int32", 32),
        ("int64", 64),
        ("string", 0),
        ("bool", 8),
        ("float16", 16),
        ("float64", 64),
        ("uint32", 32),
        ("uint64", 64),
        ("complex64", 64),
        ("complex128", 128),
        ("bfloat16", 16),
        ("float8e4m3fn", 8),
        ("float8e4m3fnuz", 8),
        ("float8e5m2", 8),
        ("float8e5m2fnuz", 8),
        ("uint4", 4),
        ("int4", 4),
        ("float4e2m1", 4),
        ("float8e8m0", 8),
    ];

    /// The name of an element type.
    pub fn name(kind: i32) -> &'static str {
        usize::try_from(kind).ok().and_then(|k| NAMES.get(k)).map_or("an unknown kind", |(name, _)| name)
    }

    /// Bytes of so many elements; `None` for text and unknown kinds.
    pub fn bytes(kind: i32, elements: u64) -> Option<u64> {
        let (_, bits) = NAMES.get(usize::try_from(kind).ok()?)?;
        if *bits == 0 { None } else { elements.checked_mul(*bits).map(|n| n.div_ceil(8)) }
    }
}

/// Reads a model; fields that are not listed here are dropped.
///
/// # Errors
/// When the bytes are not a model.
pub fn read(bytes: &[u8]) -> Result<Model, prost::DecodeError> {
    Model::decode(bytes)
}

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, optional, tag = "1")]
    pub ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub producer_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub producer_version: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OpsetId>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Entry>,
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// An operator that the file defines by others.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, repeated, tag = "4")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub output: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub node: Vec<Node>,
    #[prost(string, optional, tag = "10")]
    pub domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct OpsetId {
    #[prost(string, optional, tag = "1")]
    pub domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub version: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, optional, tag = "1")]
    pub key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, optional, tag = "7")]
    pub domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    pub g: Option<Graph>,
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "11")]
    pub graphs: Vec<Graph>,
    #[prost(int32, optional, tag = "20")]
    pub kind: Option<i32>,
}

impl Attribute {
    fn new(name: &str, kind: i32) -> Attribute {
        Attribute { name: Some(name.to_string()), kind: Some(kind), ..Attribute::default() }
    }

    pub fn float(name: &str, value: f32) -> Attribute {
        Attribute { f: Some(value), ..Attribute::new(name, 1) }
    }

    pub fn int(name: &str, value: i64) -> Attribute {
        Attribute { i: Some(value), ..Attribute::new(name, 2) }
    }

    pub fn text(name: &str, value: &str) -> Attribute {
        Attribute { s: Some(value.as_bytes().to_vec()), ..Attribute::new(name, 3) }
    }

    pub fn ints(name: &str, values: &[i64]) -> Attribute {
        Attribute { ints: values.to_vec(), ..Attribute::new(name, 7) }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    pub data_type: Option<i32>,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, optional, tag = "8")]
    pub name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    /// 1 if the values stand in another file.
    #[prost(int32, optional, tag = "14")]
    pub data_location: Option<i32>,
}

impl Tensor {
    /// A tensor of little-endian bytes.
    pub fn raw(name: &str, kind: i32, dims: &[i64], bytes: Vec<u8>) -> Tensor {
        let (name, dims) = (Some(name.to_string()), dims.to_vec());
        Tensor { dims, data_type: Some(kind), name, raw_data: Some(bytes), ..Tensor::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
    #[prost(message, optional, tag = "4")]
    pub sequence_type: Option<OtherType>,
    #[prost(message, optional, tag = "5")]
    pub map_type: Option<OtherType>,
    #[prost(message, optional, tag = "9")]
    pub optional_type: Option<OtherType>,
}

impl From<TensorType> for Type {
    fn from(tensor: TensorType) -> Type {
        Type { tensor_type: Some(tensor), ..Type::default() }
    }
}

/// A type that is no tensor's; what is in it is not read.
#[derive(Clone, PartialEq, Message)]
pub struct OtherType {}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, optional, tag = "1")]
    pub elem_type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dim {
    #[prost(oneof = "Size", tags = "1, 2")]
    pub size: Option<Size>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Size {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Param(String),
}
