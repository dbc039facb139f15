//! Logits of attention by the places of query and key.

use tch::{Kind, TchError, Tensor};

use crate::error::OpError;
use crate::layout::map_size;

/// The products of queries `[B, C, h, w]` with the vectors for rows, and with those for columns: `[B, heads, h * w, h * w]`.
pub(crate) fn relative_logits(q: &Tensor, [rows, columns]: [&Tensor; 2], heads: i64) -> Result<Tensor, OpError> {
    let [b, c, h, w] = map_size(q)?;
    let dim = c / heads.max(1);
    let q = q.f_reshape([b, heads, dim, h, w])?;
    let by_row = q.f_permute([3, 0, 1, 4, 2])?.f_reshape([h, -1, dim])?.f_matmul(&by_place(rows, h)?)?;
    let by_row = by_row.f_reshape([h, b, heads, w, h])?.f_permute([1, 2, 0, 3, 4])?.f_unsqueeze(5)?;
    let by_column = q.f_permute([4, 0, 1, 3, 2])?.f_reshape([w, -1, dim])?.f_matmul(&by_place(columns, w)?)?;
    let by_column = by_column.f_reshape([w, b, heads, h, w])?.f_permute([1, 2, 3, 0, 4])?.f_unsqueeze(4)?;
    Ok(by_row.f_add(&by_column)?.f_reshape([b, heads, h * w, h * w])?)
}

/// For each of `n` places in a line, the vectors for the way from it to each place, as columns: `[n, dim, n]`.
fn by_place(table: &Tensor, n: i64) -> Result<Tensor, TchError> {
    let places = Tensor::f_arange(n, (Kind::Int64, table.device()))?;
    let way = places.f_unsqueeze(0)?.f_sub(&places.f_unsqueeze(1)?)?.f_add_scalar(n - 1)?;
    let vectors = table.f_index_select(0, &way.f_reshape([-1])?)?;
    vectors.f_reshape([n, n, table.size()[1]])?.f_transpose(1, 2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tch::Device;

    use super::*;

    /// Query by query and key by key, on a map that is not a square.
    #[test]
    fn a_logit_is_the_product_with_the_vectors_of_row_and_column() {
        tch::manual_seed(4);
        let (heads, dim, h, w) = (2, 3, 4, 5);
        let of = |size: &[i64]| Tensor::randn(size, (Kind::Double, Device::Cpu));
        let (q, rows, columns) = (of(&[2, heads * dim, h, w]), of(&[2 * h - 1, dim]), of(&[2 * w - 1, dim]));
        let found = relative_logits(&q, [&rows, &columns], heads).unwrap();
        assert_eq!(found.size(), [2, heads, h * w, h * w]);
        for (image, head, query, key) in [(0, 0, 0, 19), (1, 1, 19, 0), (0, 1, 7, 12), (1, 0, 13, 13)] {
            let (x, y) = (key % w - query % w + w - 1, key / w - query / w + h - 1);
            let vector = rows.get(y) + columns.get(x);
            let own = q.get(image).narrow(0, head * dim, dim).select(1, query / w).select(1, query % w);
            let logit = found.double_value(&[image, head, query, key]);
            assert!((own.dot(&vector).double_value(&[]) - logit).abs() < 1e-12);
        }
    }
}
