//! Python that classes share: written once, where it is used.

/// A function or class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Helper {
    GroupNorm,
    GroupScale,
    LayerScale,
    LayerScale2d,
    LayerScaleMap,
    DropPath,
    Shuffle,
    Resize,
    WholePatches,
    Unfold,
    UnfoldRows,
    Fold,
    FoldRows,
    HeadsOf,
    SplitHeads,
    MergeHeads,
    Attention,
    BiasedAttention,
    LinearAttention,
    L2Norm,
    Distances,
    Fourier,
    Offsets,
    RelativeLogits,
    Windows,
    Unwindow,
    Scale,
}

impl Helper {
    /// Its source.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Helper::GroupNorm => GROUP_NORM,
            Helper::GroupScale => GROUP_SCALE,
            Helper::LayerScale => LAYER_SCALE,
            Helper::LayerScale2d => LAYER_SCALE_2D,
            Helper::LayerScaleMap => LAYER_SCALE_MAP,
            Helper::DropPath => DROP_PATH,
            Helper::Shuffle => SHUFFLE,
            Helper::Resize => RESIZE,
            Helper::WholePatches => WHOLE_PATCHES,
            Helper::Unfold => UNFOLD,
            Helper::UnfoldRows => UNFOLD_ROWS,
            Helper::Fold => FOLD,
            Helper::FoldRows => FOLD_ROWS,
            Helper::HeadsOf => HEADS_OF,
            Helper::SplitHeads => SPLIT_HEADS,
            Helper::MergeHeads => MERGE_HEADS,
            Helper::Attention => ATTENTION,
            Helper::BiasedAttention => BIASED_ATTENTION,
            Helper::LinearAttention => LINEAR_ATTENTION,
            Helper::L2Norm => L2_NORM,
            Helper::Distances => DISTANCES,
            Helper::Fourier => FOURIER,
            Helper::Offsets => OFFSETS,
            Helper::RelativeLogits => RELATIVE_LOGITS,
            Helper::Windows => WINDOWS,
            Helper::Unwindow => UNWINDOW,
            Helper::Scale => SCALE,
        }
    }
}

const GROUP_NORM: &str = r#"class GroupNorm(nn.Module):
    """Group normalisation with one group, by explicit means."""

    def __init__(self, channels: int, eps: float = 1e-05):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean((1, 2, 3), keepdim=True)
        x = x * ((x * x).mean((1, 2, 3), keepdim=True) + self.eps).rsqrt()
        return x * self.weight[:, None, None] + self.bias[:, None, None]
"#;

const GROUP_SCALE: &str = r#"class GroupScale(nn.Module):
    """Group normalisation with one group and without a bias, by explicit means."""

    def __init__(self, channels: int, eps: float = 1e-05):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean((1, 2, 3), keepdim=True)
        x = x * ((x * x).mean((1, 2, 3), keepdim=True) + self.eps).rsqrt()
        return x * self.weight[:, None, None]
"#;

const LAYER_SCALE: &str = r#"class LayerScale(nn.Module):
    """A learnt scale for each channel of rows [B, N, C]."""

    def __init__(self, channels: int, init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
"#;

const LAYER_SCALE_2D: &str = r#"class LayerScale2d(nn.Module):
    """A learnt scale for each channel of a map [B, C, H, W]."""

    def __init__(self, channels: int, init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None]
"#;

const LAYER_SCALE_MAP: &str = r#"class LayerScaleMap(nn.Module):
    """A learnt scale for each channel of a map [B, C, H, W], held as [C, 1, 1]."""

    def __init__(self, channels: int, init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels, 1, 1), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
"#;

const DROP_PATH: &str = r#"def drop_path(x: Tensor, rate: float, training: bool, pixels: int = 1) -> Tensor:
    """Stochastic depth: drops the branch of an image. The batch may hold the pixels of a patch as further images."""
    if not training or rate == 0.0:
        return x
    keep = (torch.rand([x.shape[0] // pixels, 1], device=x.device) >= rate).to(x.dtype) / (1.0 - rate)
    return x * keep.repeat_interleave(pixels, dim=0).reshape([x.shape[0]] + [1] * (x.dim() - 1))
"#;

const RESIZE: &str = r#"def resize(x: Tensor, h: int, w: int, align_corners: bool) -> Tensor:
    """Bilinear, unless the map has that size."""
    if x.shape[2] == h and x.shape[3] == w:
        return x
    return F.interpolate(x, size=(h, w), mode="bilinear", align_corners=align_corners)
"#;

const SHUFFLE: &str = r#"def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """The first channel of each group, then the second of each, and so on."""
    c, h, w = x.shape[1], x.shape[2], x.shape[3]
    x = x.reshape(-1, groups, c // groups, h * w).transpose(1, 2)
    return x.reshape(-1, c, h, w)
"#;

const WHOLE_PATCHES: &str = r#"def whole_patches(x: Tensor, patch: int, align_corners: bool) -> Tensor:
    """Resizes a map up to whole patches."""
    h, w = (x.shape[2] + patch - 1) // patch * patch, (x.shape[3] + patch - 1) // patch * patch
    return resize(x, h, w, align_corners)
"#;

// A shuffle of single pixels keeps the layout of what it reads: ExecuTorch then takes rows for a map, and other numbers.
const UNFOLD: &str = r#"def unfold(x: Tensor, channels: int, patch: int) -> Tensor:
    """[B, C, H, W] to [B, C, P, N]: P pixels of a patch, N patches."""
    if patch == 1:
        return x.reshape(-1, channels, 1, x.shape[2] * x.shape[3])
    x = F.pixel_unshuffle(x, patch)
    return x.reshape(-1, channels, patch * patch, x.shape[2] * x.shape[3])
"#;

const UNFOLD_ROWS: &str = r#"def unfold_rows(x: Tensor, channels: int, patch: int) -> Tensor:
    """[B, C, H, W] to [B * P, N, C]: rows of the pixels at one place of their patches."""
    x = unfold(x, channels, patch).permute(0, 2, 3, 1)
    return x.reshape(-1, x.shape[2], channels)
"#;

const FOLD: &str = r#"def fold(x: Tensor, channels: int, patch: int, h: int, w: int) -> Tensor:
    """[B, C, P, N] to [B, C, H, W]."""
    if patch == 1:
        return x.reshape(-1, channels, h, w)
    return F.pixel_shuffle(x.reshape(-1, channels * patch * patch, h // patch, w // patch), patch)
"#;

const FOLD_ROWS: &str = r#"def fold_rows(x: Tensor, channels: int, patch: int, h: int, w: int) -> Tensor:
    """[B * P, N, C] to [B, C, H, W]."""
    x = x.reshape(-1, patch * patch, x.shape[1], channels).permute(0, 3, 1, 2)
    return fold(x, channels, patch, h, w)
"#;

const HEADS_OF: &str = r#"def heads_of(x: Tensor, heads: int, head_dim: int) -> Tensor:
    """[B, N, C] to [B, N, heads, head_dim]."""
    return x.reshape(-1, x.shape[1], heads, head_dim)
"#;

const SPLIT_HEADS: &str = r#"def split_heads(x: Tensor, heads: int, head_dim: int) -> Tensor:
    """[B, C, H, W] to [B, heads, head_dim, H * W]."""
    return x.reshape(-1, heads, head_dim, x.shape[2] * x.shape[3])
"#;

const MERGE_HEADS: &str = r#"def merge_heads(x: Tensor, channels: int, h: int, w: int) -> Tensor:
    """[B, heads, H * W, head_dim] to [B, C, H, W]."""
    return x.transpose(2, 3).reshape(-1, channels, h, w)
"#;

const ATTENTION: &str = r#"def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, key_dim: int, value_dim: int) -> Tensor:
    """Scaled dot-product attention of rows [B, N, C]."""
    n, m = q.shape[1], k.shape[1]
    q = q.reshape(-1, n, heads, key_dim).transpose(1, 2) * key_dim ** -0.5
    k = k.reshape(-1, m, heads, key_dim).transpose(1, 2)
    v = v.reshape(-1, m, heads, value_dim).transpose(1, 2)
    x = (q @ k.transpose(2, 3)).softmax(-1) @ v
    return x.transpose(1, 2).reshape(-1, n, heads * value_dim)
"#;

const BIASED_ATTENTION: &str = r#"def biased_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor, heads: int, key_dim: int, value_dim: int
) -> Tensor:
    """Scaled dot-product attention of rows [B, N, C] with a bias [heads, N, N] on the logits."""
    n, m = q.shape[1], k.shape[1]
    q = q.reshape(-1, n, heads, key_dim).transpose(1, 2) * key_dim ** -0.5
    k = k.reshape(-1, m, heads, key_dim).transpose(1, 2)
    v = v.reshape(-1, m, heads, value_dim).transpose(1, 2)
    x = (q @ k.transpose(2, 3) + bias).softmax(-1) @ v
    return x.transpose(1, 2).reshape(-1, n, heads * value_dim)
"#;

const DISTANCES: &str = r#"def distances(h: int, w: int, stride: int = 1) -> Tensor:
    """Index |dy| * w + |dx| for each query, on every stride-th row and column, and each key of a grid of h x w."""
    y, x = torch.arange(h), torch.arange(w)
    dy = (y[::stride, None, None, None] - y[None, None, :, None]).abs()
    dx = (x[None, ::stride, None, None] - x[None, None, None, :]).abs()
    index = dy * w + dx
    return index.reshape(index.shape[0] * index.shape[1], h * w)
"#;

const LINEAR_ATTENTION: &str = r#"def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, heads: int, key_dim: int, value_dim: int
) -> Tensor:
    """Linear attention of rows [B, N, C], where queries and keys are not negative."""
    n, m = q.shape[1], k.shape[1]
    q = q.reshape(-1, n, heads, key_dim).transpose(1, 2)
    k = k.reshape(-1, m, heads, key_dim).permute(0, 2, 3, 1)
    v = v.reshape(-1, m, heads, value_dim).transpose(1, 2)
    x = q @ (k @ v) / (q @ k.sum(-1, keepdim=True) + 1e-05)
    return x.transpose(1, 2).reshape(-1, n, heads * value_dim)
"#;

const L2_NORM: &str = r#"def l2_norm(x: Tensor) -> Tensor:
    """Divides by the Euclidean norm over the last axis."""
    return x / (x * x).sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
"#;

// By Python's own numbers, so that exported networks hold the result and no sines.
const FOURIER: &str = r#"def single(x: float) -> float:
    """Rounded to single precision, in which such networks were trained."""
    y = 536870913.0 * x
    return y - (y - x)


def places(n: int) -> Tensor:
    """Sines and cosines of the places of a row: [32, N]."""
    turns = [single(single((i + 1) / single(n + 1e-06)) * single(2 * math.pi)) for i in range(n)]
    rows: list[list[float]] = []
    for k in range(32):
        wave = single(10000.0 ** (k // 2 * 2 / 32))
        rows.append([math.cos(single(t / wave)) if k % 2 else math.sin(single(t / wave)) for t in turns])
    return torch.tensor(rows)


def fourier(x: Tensor) -> Tensor:
    """Sines and cosines of the rows and columns of a map: [1, 64, H, W]."""
    h, w = x.shape[2], x.shape[3]
    pair = (places(h)[:, :, None].expand(-1, -1, w), places(w)[:, None, :].expand(-1, h, -1))
    return torch.cat(pair)[None].to(x.device, x.dtype)
"#;

const OFFSETS: &str = r#"def offsets(x: Tensor, h: int, w: int) -> Tensor:
    """Columns, rows and squared distance from each query to each key of a grid of h x w: [1, N * N, 3]."""
    rows, columns = torch.arange(h, device=x.device), torch.arange(w, device=x.device)
    dy = (rows[None, None, :, None] - rows[:, None, None, None]).expand(h, w, h, w).reshape(-1)
    dx = (columns[None, None, None, :] - columns[None, :, None, None]).expand(h, w, h, w).reshape(-1)
    return torch.stack((dx, dy, dx * dx + dy * dy), 1)[None].to(x.dtype)
"#;

const RELATIVE_LOGITS: &str = r#"class RelativeLogits(nn.Module):
    """Logits of attention by the places of query and key: queries [B, C, H, W] to [B, heads, H * W, H * W]."""

    def __init__(self, heads: int, head_dim: int, h: int, w: int):
        super().__init__()
        self.height_rel = nn.Parameter(torch.randn(2 * h - 1, head_dim) * head_dim ** -0.5)
        self.width_rel = nn.Parameter(torch.randn(2 * w - 1, head_dim) * head_dim ** -0.5)
        self.register_buffer("rows", torch.arange(h)[None] - torch.arange(h)[:, None] + h - 1, persistent=False)
        self.register_buffer("columns", torch.arange(w)[None] - torch.arange(w)[:, None] + w - 1, persistent=False)
        self.heads, self.head_dim, self.h, self.w = heads, head_dim, h, w

    def forward(self, q: Tensor) -> Tensor:
        h, w, n = self.h, self.w, self.h * self.w
        q = q.reshape(-1, self.head_dim, h, w)
        by_row = q.permute(2, 0, 3, 1).reshape(h, -1, self.head_dim) @ self.height_rel[self.rows].transpose(1, 2)
        by_row = by_row.reshape(h, -1, w, h).transpose(0, 1).reshape(-1, n, h, 1)
        by_column = q.permute(3, 0, 2, 1).reshape(w, -1, self.head_dim) @ self.width_rel[self.columns].transpose(1, 2)
        by_column = by_column.reshape(w, -1, h, w).permute(1, 2, 0, 3).reshape(-1, n, 1, w)
        return (by_row + by_column).reshape(-1, self.heads, n, n)
"#;

const WINDOWS: &str = r#"def windows(x: Tensor, channels: int, side: int) -> Tensor:
    """[B, C, H, W] to [B * N, C, side, side]: N windows, after zeros below and to the right."""
    x = F.pad(x, (0, -x.shape[3] % side, 0, -x.shape[2] % side))
    rows, columns = x.shape[2] // side, x.shape[3] // side
    x = x.reshape(-1, side, columns, side).transpose(1, 2).reshape(-1, channels, rows * columns, side * side)
    return x.transpose(1, 2).reshape(-1, channels, side, side)
"#;

const UNWINDOW: &str = r#"def unwindow(x: Tensor, channels: int, side: int, h: int, w: int) -> Tensor:
    """[B * N, C, side, side] to [B, C, H, W]."""
    rows, columns = (h + side - 1) // side, (w + side - 1) // side
    x = x.reshape(-1, rows * columns, channels, side * side).transpose(1, 2)
    x = x.reshape(-1, columns, side, side).transpose(1, 2).reshape(-1, channels, rows * side, columns * side)
    return x[:, :, :h, :w]
"#;

const SCALE: &str = r#"class Scale(nn.Module):
    """A learnt scale for each channel of a map [B, C, H, W]."""

    def __init__(self, channels: int, init: float):
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[:, None, None]
"#;
