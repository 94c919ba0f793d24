"""One-line idioms, as people write them, in the order of the surface they cover. Each is run by both engines.

In scope: torch, nn, F, np, math, copy; a and b (3, 4) of float32 with a tie and with zeros, r (4,), i (3, 4)
of int64 from -3 to 3, k (3,) of int64 from 0 to 2, m (3, 4) of bool, p a parameter (2, 3), s a stack (2, 3, 4).
Several statements are separated by "; ", and the last one is the value.
"""

VALUES = """
torch.diff(r), torch.diff(a, n=2, dim=0), torch.diff(m), a.diff(prepend=b[:, :1], append=b)
torch.atleast_1d(a[0, 0]), torch.atleast_2d(r), torch.atleast_2d(a[0, 0], s), torch.atleast_1d([r, a])
torch.block_diag(a, r, i), torch.block_diag(a[0, 0])
torch.kron(torch.eye(2), a), torch.kron(s, r), r.kron(a)
torch.unique_consecutive(torch.tensor([1, 1, 2, 1])), torch.unique_consecutive(k[[0, 0, 1]], return_inverse=True, return_counts=True)
a[[0, 0, 1]].unique_consecutive(True, True, dim=0), i[:, [0, 0, 1]].unique_consecutive(dim=-1), torch.unique_consecutive(k[:0])
a.equal(a.clone()), a.equal(b), a.equal(r)
torch.zeros(4, 4).index_put((k, k), torch.tensor(1.0), accumulate=True), a.index_put((m,), torch.tensor(7.0))
x = (p * 1).index_put((k[1:], k[1:] + 1), p[0, :2], accumulate=True); x.square().sum().backward(); x, p.grad
x = a.clone().requires_grad_(); y = (x ** 2).sum(); torch.no_grad().__enter__(); g = torch.autograd.grad(y, [x])[0]; torch.set_grad_enabled(True); g
torch.utils.checkpoint.checkpoint(lambda x, y: x * y, a, b, use_reentrant=False), torch.utils.checkpoint.checkpoint_sequential(nn.Sequential(nn.ReLU(), nn.Tanh()), 2, a, use_reentrant=False)
nn.utils.clip_grad_norm_([p], 1.0)
a.add(2, b), torch.add(a, 2, b), a.sub(0.5, b)
a.addcmul(2, b, b), a.addcdiv(-2, b, b + 3), torch.addcmul(a, 2, b, b)
a.addmm(1, -2, b[:, :3], b), r.new_zeros(3).addmv(1, 2, b, r), a.addr(1, 2, b[:, 0], r)
torch.matmul(a, b.t(), out=torch.empty(3, 3))
torch.max(a, 1, out=(torch.empty(3), torch.empty(3, dtype=torch.int64)))
x = p * 2; x.detach_(); x.requires_grad, x.is_leaf, x
F.mse_loss(a, i), F.l1_loss(a, b.double()), F.smooth_l1_loss(a.double(), i)
nn.MSELoss()(a, target=b)
torch.ones(0).var(), torch.ones(3, 0).var(1), torch.ones(0, 3).std(0, unbiased=False), torch.ones(0).std(), torch.ones(1).var()
x = torch.arange(120.0).view(2, 3, 4, 5).to(memory_format=torch.channels_last); x, x.stride(), x.contiguous(memory_format=torch.contiguous_format).stride()
x = torch.ones(2, 3, 4, 5).contiguous(memory_format=torch.channels_last); x.is_contiguous(memory_format=torch.channels_last)
[n for n, _ in nn.Sequential(nn.Linear(2, 3))._modules["0"]._parameters.items()]
a[range(2)], a[range(3), k], a[[[0, 1], [1, 2]]]
str(torch.Size([2, 3])), repr(a.shape), repr(r), repr(a[0, 0]), repr(i), repr(m), f"{a.shape}"
a.type(torch.float64)
a.type('torch.DoubleTensor')
a.type(torch.LongTensor)
a.type()
i.type_as(a)
(a > 0).type(torch.FloatTensor).sum()
torch.FloatTensor([1, 2])
torch.FloatTensor(np.ones((2, 2))).dtype
torch.LongTensor([[1, 2]])
torch.FloatTensor(2, 3).shape
torch.FloatTensor(2, 3).fill_(1.5)
torch.ByteTensor([0, 255])
torch.BoolTensor([True, False])
torch.DoubleTensor([1])
torch.Tensor(2, 3).shape
torch.Tensor([1, 2])
torch.Tensor([[1, 2], [3, 4]]).dtype
isinstance(a, torch.FloatTensor), isinstance(i, torch.FloatTensor)
a.is_floating_point(), i.is_floating_point(), torch.is_floating_point(a)
torch.autograd.Variable(a).sum()
torch.autograd.Variable(torch.Tensor(2, 1).fill_(1.0), requires_grad=False).requires_grad
isinstance(a, torch.autograd.Variable)
a.repeat(2, 1)
r.repeat(3, 1, 2).shape
r.tile(2)
torch.tile(a, (2, 2)).shape
a.repeat_interleave(2, dim=0)
torch.repeat_interleave(r, 3)
torch.repeat_interleave(a, k, dim=0)
a.split(2, dim=1)
torch.split(a, [1, 3], 1)[1]
torch.chunk(a, 2, dim=-1)
a.chunk(3)[2]
a.unbind(0)[1]
[t.shape for t in torch.tensor_split(torch.arange(7), 3)]
x, y = a.chunk(2, 1); x * y
torch.gather(a, 1, k.unsqueeze(1))
a.gather(0, k.expand(3, 3))
a.scatter(1, k.view(-1, 1), 9.0)
torch.zeros(3, 5).scatter_(1, k.unsqueeze(1), 1)
torch.zeros(3, 5).scatter_(1, k[:, None], 1.0).sum()
torch.zeros(3).scatter_add_(0, k, torch.ones(3))
torch.zeros(3, 4).index_add_(0, k, a)
torch.index_select(a, 1, torch.tensor([0, 2]))
a.index_select(0, k)
a.index_fill(1, torch.tensor([1]), -1)
a.masked_fill(m, 0)
a.masked_fill(m == 0, float('-inf'))
torch.masked_select(a, m)
a[m]
a[a > 0].mean()
a[k, k]
a[:, None].shape
a[..., -1]
a[::2, 1:3]
a[[0, 2]]
a[torch.arange(3), k]
torch.where(m, a, b)
torch.where(a > 0, a, 0.0)
torch.where(a > 0, 1, 0)
torch.where(a > 0, 1.0, 0.0).dtype
torch.where(m)[0]
torch.where(i > 0, i, a)
torch.take(a, torch.tensor([0, 5]))
torch.take_along_dim(a, a.argsort(1), 1)
torch.nonzero(m)
m.nonzero(as_tuple=True)[1]
m.nonzero().squeeze().shape
(i == 0).nonzero()
a.cumsum(0)
torch.cumsum(i, dim=1)
torch.cumprod(a, dim=1)
m.cumsum(1).dtype
a.sort(1)
a.sort(dim=1, descending=True)[0]
torch.sort(i, 0)[0]
a.argsort(descending=True)
torch.argsort(r)
a.topk(2)
a.topk(2, dim=0, largest=False)[0]
torch.topk(a, 1, 1, True, True)[1]
torch.kthvalue(r, 2)
r.median()
a.median(1)
a.median(dim=0)[0]
torch.quantile(r, 0.3)
torch.unique(i)
torch.unique(i, return_counts=True)
torch.unique(k, return_inverse=True)[1]
torch.bincount(k)
torch.bincount(k, minlength=5)
torch.histc(a, bins=4, min=-1, max=1)
a.prod()
a.prod(1)
i.prod(0)
torch.prod(a, 1, keepdim=True)
a.logsumexp(1)
torch.logsumexp(a, dim=(0, 1))
a.amax(1), a.amin((0, 1))
a.amax(dim=1, keepdim=True)
torch.aminmax(a)
a.max()
a.max(1)
a.max(dim=1, keepdim=True)[0]
torch.max(a, b)
torch.min(a, b)
a.max(b)
torch.max(a, dim=0).values
torch.maximum(a, b)
torch.minimum(a, torch.zeros(1))
i.max(), i.min(0)
a.min(1)[1]
a.argmax(), a.argmax(1), a.argmin(0)
a.argmax(dim=1, keepdim=True)
a.any(), m.all(1), m.any(dim=0)
torch.all(a > -10), torch.any(a > 10)
a.all()
a.norm(), a.norm(2), a.norm(1), a.norm(p=float('inf'))
a.norm(dim=1), a.norm(2, 1), a.norm(p=2, dim=1, keepdim=True)
torch.norm(a), torch.norm(a, 2), torch.norm(a, p=1, dim=0)
torch.linalg.norm(a), torch.linalg.norm(a, dim=1), torch.linalg.vector_norm(a, 1)
torch.dist(a, b)
a.std(), a.std(0), a.std(1, keepdim=True), a.var(dim=1, unbiased=False)
torch.std(a, 1), torch.var(a, 0, unbiased=False)
a.var(1, correction=0)
torch.var_mean(a, 1)
torch.std_mean(a)
a.mean((0, 1)), a.mean(-1), a.mean(dim=0, keepdim=True)
a.sum(axis=1), a.sum(axis=0, keepdims=True), a.mean(axis=-1)
torch.sum(a, dim=1), torch.sum(input=a), torch.mean(a, 0, True)
i.sum().dtype, m.sum().dtype, i.sum(dtype=torch.float32).dtype
a.sum(dtype=torch.float64).dtype
a.sum((0, 1)), s.sum([1, 2])
i.float().mean(), m.float().mean()
torch.mean(a, dim=[0, 1])
a.count_nonzero(), (a > 0).count_nonzero(dim=0)
a.flip(0), a.flip(1), torch.flip(a, [0, 1]), a.flip((0,)), torch.flip(a, dims=(1,))
torch.fliplr(a), torch.flipud(a)
a.roll(1), torch.roll(a, 1, 0), torch.roll(a, shifts=(1, -1), dims=(0, 1))
torch.rot90(a, 1, [0, 1])
a.triu(), torch.tril(a, -1), torch.ones(3, 3).triu(1)
torch.triu(torch.ones(3, 3), diagonal=1).bool()
torch.diag(r), torch.diag(a), a.diagonal(), torch.diag_embed(r).shape
torch.trace(a)
torch.eye(3), torch.eye(2, 3), torch.eye(3)[k]
torch.eye(3, dtype=torch.float64).dtype
torch.linspace(0, 1, 5), torch.linspace(-1, 1, steps=3), torch.logspace(0, 2, 3)
torch.arange(5), torch.arange(1, 5), torch.arange(0, 1, 0.25), torch.arange(5.), torch.arange(3, dtype=torch.float32)
torch.arange(0, 10, 2), torch.arange(start=1, end=4), torch.arange(5, device='cpu')
torch.full((2, 2), 7), torch.full((2,), 0.5), torch.full([2], True), torch.full_like(a, 3), torch.full_like(i, 2).dtype
torch.empty(2, 3).shape, torch.empty((2, 3)).dtype, torch.empty_like(a).shape
torch.zeros(2, 3, dtype=torch.long), torch.ones((2,), dtype=torch.bool), torch.zeros(())
torch.zeros_like(a), torch.ones_like(i), torch.zeros_like(i, dtype=torch.float32), torch.ones_like(a, device='cpu')
torch.zeros(size=(2, 3)), torch.ones(size=[2]), torch.zeros(a.shape), torch.zeros(a.size())
torch.zeros(2, requires_grad=True).requires_grad
torch.zeros_like(a, requires_grad=True).requires_grad
a.new_zeros(2, 3), a.new_ones((2,)), i.new_zeros(3), a.new_full((2,), 3), a.new_tensor([1, 2]), a.new_empty(3).shape
torch.tensor([1, 2]), torch.tensor([1., 2]), torch.tensor(3), torch.tensor(2.5), torch.tensor([True]), torch.tensor([[1, 2.]])
torch.tensor([1, 2], dtype=torch.float32), torch.tensor(np.zeros(2)).dtype, torch.tensor([1., 2.], requires_grad=True)
torch.tensor([a.sum(), 2.0])
torch.as_tensor([1, 2]), torch.as_tensor(np.ones(2)).dtype, torch.as_tensor(a) is a, torch.from_numpy(np.arange(3))
torch.as_tensor(a, dtype=torch.float64).dtype
n = np.zeros(3); t = torch.from_numpy(n); t[0] = 5; n
n = np.zeros(3); t = torch.as_tensor(n); n[1] = 2; t
torch.scalar_tensor(2.0)
torch.cat([a, b]), torch.cat((a, b), 1), torch.cat([a, b], dim=-1), torch.cat([a, i])
torch.cat([torch.tensor([]), r]), torch.concat([r, r])
torch.stack([r, r]), torch.stack((r, r), dim=1), torch.stack([a, b], -1).shape
torch.hstack([r, r]), torch.vstack([r, r]), torch.dstack([r, r]).shape, torch.column_stack([r, r]).shape
torch.meshgrid(torch.arange(2), torch.arange(3), indexing='ij')
torch.meshgrid(torch.arange(2), torch.arange(3), indexing='xy')[0]
torch.cartesian_prod(torch.arange(2), torch.arange(3))
torch.einsum('ij,kj->ik', a, b), torch.einsum('ij->ji', a), torch.einsum('ij,j->i', a, r), torch.einsum('ii', torch.ones(3, 3))
torch.einsum(a, [0, 1], b, [2, 1], [0, 2]), torch.einsum(a, [0, 1]), torch.einsum(s, [..., 5, 51], [..., 51, 5]), torch.einsum(a, (3, 2), r, (2,))
torch.diag_embed(a, 1, 0, 2), torch.diag_embed(s, dim1=0, dim2=-2), torch.diag_embed(r, -1, -1, 0)
torch.repeat_interleave(a, torch.tensor([1, 2, 0]), dim=0, output_size=3), r.repeat_interleave(2, output_size=8), torch.repeat_interleave(torch.tensor([1, 0, 3]))
x = torch.asarray(a); y = torch.asarray(a, copy=True); x += 1; a, y, torch.asarray(r.numpy(), copy=False), torch.asarray([1, 2], dtype=torch.float64)
torch.asarray(p).requires_grad, torch.asarray(p, requires_grad=True).requires_grad, torch.asarray(p * 2).is_leaf
torch.einsum('bij,bjk->bik', s, s.transpose(1, 2)), torch.einsum('...ij->...ji', s), torch.einsum('i,j->ij', r, r)
torch.einsum('bhqd,bhkd->bhqk', s[None], s[None]).shape, torch.einsum('ij->', a), torch.einsum('ij,ij->i', a, b)
a @ b.t(), a.mm(b.T), torch.mm(a, b.t()), torch.matmul(a, r), r @ r, r @ a.T, s @ s.transpose(1, 2), s @ r
torch.bmm(s, s.transpose(1, 2)), s.bmm(s.permute(0, 2, 1)), torch.matmul(s, a.t()), i @ i.t()
torch.dot(r, r), r.dot(r), torch.mv(a, r), torch.outer(r, r), torch.ger(r, r), torch.inner(a, b)
torch.addmm(torch.ones(3), a, b.t()), torch.baddbmm(torch.zeros(1), s, s.transpose(1, 2)), torch.tensordot(a, b, 2)
torch.cdist(a, b)
torch.cross(torch.tensor([1., 0, 0]), torch.tensor([0., 1, 0]), dim=0)
a.sin(), a.cos(), torch.tan(a), torch.asin(r), r.acos(), r.atan(), torch.sinh(a), a.cosh(), torch.tanh(a), a.tanh()
torch.arcsin(r), torch.asinh(a), torch.acosh(a.abs() + 1), torch.atanh(r)
a.exp(), torch.exp2(a), a.expm1(), a.abs().log(), a.abs().log1p(), torch.log2(a.abs()), torch.log10(a.abs() + 1)
a.sqrt(), torch.rsqrt(a.abs() + 1), a.abs().sqrt(), torch.reciprocal(a + 10), a.square(), a.erf(), torch.sigmoid(a)
i.sin(), torch.exp(i), i.sqrt(), i.abs(), i.sigmoid().dtype
a.floor(), a.ceil(), a.round(), a.trunc(), a.frac(), a.sign(), i.sign(), i.floor(), torch.round(a * 10) / 10
torch.round(a, decimals=1)
a.neg(), -a, +a, abs(a), a.abs(), torch.abs(i), a.reciprocal()
torch.atan2(a, b), torch.hypot(a, b), torch.lerp(a, b, 0.3), torch.logaddexp(a, b)
torch.addcmul(a, b, b, value=0.5), torch.addcdiv(a, b, b.exp(), value=2)
a.add(1), a.add(b, alpha=2), torch.add(a, b), torch.sub(a, 1), a.mul(2), torch.div(a, 2), a.div(2, rounding_mode='floor')
torch.div(i, 2, rounding_mode='trunc'), torch.div(i, 2, rounding_mode='floor'), torch.true_divide(i, 2), i / 2
i // 2, i % 2, i % -2, a % 1, a // 0.5, 7 // (i.abs() + 1), 7 % (i.abs() + 1), torch.remainder(a, 0.3), torch.fmod(i, 2)
2 ** i.abs(), 2.0 ** a, a ** 2, i ** 2, a.abs() ** b, a.pow(3), torch.pow(a, 2), torch.pow(2, i.abs()), i ** 0.5, a ** -1
1 / a.exp(), 1 - a, 2 * a, 1 + i, 3 - i, 1 / i.abs().add(1), a / i.abs().add(1)
i + 1.5, i * 2.0, m + 1, m * a, (m * 1).dtype, i + m, a + i, (a + 1).dtype, (i + 1).dtype, (i.int() + i).dtype
a.double() + a, (a.half() + 1).dtype, (a.half() + a).dtype
m & (a > 0), m | (a > 0), m ^ (a > 0), ~m, i & 1, i | 1, i ^ 1, ~i
torch.logical_and(m, a > 0), torch.logical_not(m), torch.logical_or(a, b), m.logical_xor(a > 0)
a.eq(b), a.ne(b), a.gt(0), a.ge(b), a.lt(0), a.le(0), torch.eq(a, b).sum(), torch.gt(a, 0), torch.ne(i, 0)
a == b, a != 0, a > b, 0 < a, a >= 0, i == 1
torch.isnan(a), torch.isinf(a / 0), torch.isfinite(a / 0), a.isnan().any(), a.isfinite().all()
torch.isclose(a, a + 1e-9), torch.allclose(a, b), torch.allclose(a, a.clone()), torch.equal(a, a)
torch.isin(k, torch.tensor([0, 1]))
a.clamp(0), a.clamp(-0.5, 0.5), a.clamp(min=0), a.clamp(max=0), torch.clamp(a, min=-0.1, max=0.1), a.clip(0, 1)
a.clamp(min=b), torch.clamp(i, 0, 2), i.clamp(0.5), a.clamp_min(0), torch.clamp_max(a, 0)
torch.nan_to_num(a / 0)
a.relu(), torch.relu(a), torch.softmax(a, 1), torch.softmax(a, dim=-1), a.softmax(0), torch.log_softmax(a, 1), a.log_softmax(-1)
torch.softmax(a, dim=1, dtype=torch.float64).dtype
a.view(-1), a.view(4, 3), a.view(2, -1), a.reshape(-1, 6), a.reshape((4, 3)), a.view(-1, 2, 3).shape, a.view_as(b), a.reshape_as(b)
a.flatten(), s.flatten(1), s.flatten(start_dim=1), s.flatten(0, 1).shape, torch.flatten(s, 1), torch.ravel(a)
s.permute(2, 0, 1), s.permute((1, 0, 2)).shape, torch.permute(s, (2, 1, 0)), s.transpose(0, 2), torch.transpose(a, 0, 1), a.t(), a.T, s.mT.shape
s.movedim(0, -1).shape, torch.moveaxis(s, 0, 2).shape, s.swapaxes(0, 1).shape, s.swapdims(0, 1).shape
a.unsqueeze(0).shape, a.unsqueeze(-1).squeeze(-1), a[None].squeeze(), torch.unsqueeze(a, 1).shape, torch.squeeze(a[None], 0), a[:, :1].squeeze(1)
a[None, :, None].squeeze((0, 2)).shape
r.expand(3, 4), r.expand(3, -1), r[:, None].expand(4, 2), r.expand_as(a), torch.broadcast_to(r, (3, 4)), r.unsqueeze(1).expand(-1, 5).shape
torch.broadcast_tensors(a, r)[1]
s.unflatten(2, (2, 2)).shape, a.narrow(1, 1, 2), a.select(0, 1), torch.narrow(a, 0, 0, 2)
a.size(), a.size(0), a.shape, a.shape[1], a.dim(), a.ndim, a.numel(), a.nelement(), len(a), a.ndimension(), a.size(-1)
a.shape == torch.Size([3, 4]), a.size().numel(), isinstance(a.shape, torch.Size), a.shape[:1] + (2,), tuple(a.shape)
N, C = a.shape; N * C
a.stride(), a.t().stride(), a.stride(0), a.is_contiguous(), a.t().is_contiguous(), a.t().contiguous().is_contiguous()
a.element_size(), a.storage_offset(), a[1].storage_offset(), a.itemsize, a.nbytes
a.dtype, i.dtype, a.dtype == torch.float32, a.dtype is torch.float32, torch.float, torch.double == torch.float64, torch.long == torch.int64
a.is_leaf, p.is_leaf, (p * 1).is_leaf, p.grad is None, (p * 1).grad_fn is None, a.grad_fn is None, (p * 1).requires_grad
a.is_cuda, a.device.type, str(a.device), a.device == torch.device('cpu'), a.get_device(), a.layout == torch.strided, a.is_sparse
a.half().dtype, a.double().dtype, a.int(), a.long().dtype, a.bool(), a.byte().dtype, a.short().dtype, a.char().dtype, i.float().dtype, i.bool()
a.to(torch.float64).dtype, a.to('cpu').dtype, a.to(i).dtype, a.to('cpu', torch.float16).dtype, a.to(device='cpu', dtype=torch.long), a.cpu()
a.item() if a.numel() == 1 else a[0, 0].item(), a.tolist(), a.numpy(), np.array(a), a[0].detach().cpu().numpy(), i[0, 0].item()
float(a[0, 0]), int(i[0, 0]), bool(m[0, 0]), round(a[0, 0].item(), 2), f'{a[0, 0]:.3f}', '{:.2f}'.format(a[0, 1]), '%.2f' % a[0, 0]
[v.item() for v in r], [float(v) for v in r], list(range(10))[k[1]], max(r), sum(r), sorted(r.tolist()), min([v for v in r])
np.sqrt(a.numpy() ** 2), np.mean(a.numpy()), np.asarray(a).shape, np.array([r[0].item()])
torch.finfo(torch.float32).eps, torch.finfo(a.dtype).max, torch.finfo(torch.float16).tiny, torch.iinfo(torch.int32).max, torch.iinfo(torch.uint8).min
torch.pi, torch.inf, torch.nan != torch.nan, torch.e
torch.get_default_dtype() == torch.float32
torch.is_tensor(a), torch.is_tensor(1), torch.numel(a), isinstance(p, torch.Tensor), isinstance(a, nn.Parameter), torch.is_grad_enabled()
torch.result_type(a, i), torch.promote_types(torch.int32, torch.float32), torch.can_cast(torch.float32, torch.int32)
torch.searchsorted(torch.tensor([0., 1, 2]), a), torch.bucketize(r, torch.tensor([0., 0.5]))
copy.deepcopy(a), a.clone().detach(), a.detach().clone(), a.data, torch.clone(a)
hash(a) == hash(a), a in [a], {a: 1}[a]
a[:1].squeeze(axis=0), a.unsqueeze(axis=1).shape, torch.unsqueeze(a, axis=0).shape, torch.squeeze(a[:1], axis=0).shape
torch.cat([i, torch.zeros(0)]).dtype, torch.cat([torch.zeros(0), k]).dtype
k << 2, k >> 1, 1 << k, 9 >> k, k << 70, -k >> 70, -k << -1, torch.bitwise_left_shift(k, 1), torch.bitwise_right_shift(k, k)
[a.quantile(q, 1, interpolation=way) for q in (0.0, 0.3, 0.5, 0.9) for way in ("linear", "lower", "higher", "midpoint", "nearest")]
s = torch.tensor(3.); s.sum(0), s.mean(-1, True), s.prod(0), s.amax(0), s.amin(-1), s.norm(2, 0), s.logsumexp(0), s.any(0), s.all(-1), s.nansum((0,))
s = torch.tensor(3.); s.kthvalue(1, 0), s.quantile(0.3, -1), s.quantile(0.3, keepdim=True), s.count_nonzero(0), s.var(0), s.aminmax(dim=0), s.sum((-1,))
s = torch.tensor(1.); F.softmax(s, 0), F.log_softmax(s, -1), F.prelu(-s, torch.ones(1)), F.local_response_norm(torch.zeros(0, 4, 2), 2)
s = torch.tensor(3., requires_grad=True); (s.sum(0) * s.prod(0) + s.norm(2, 0) + s.amax(-1) + s.logsumexp(0)).backward(); s.grad
x = p.detach().requires_grad_(); y = x.norm(0); y.backward(); y, x.grad
x = torch.tensor(-1., requires_grad=True); w = torch.ones(1, requires_grad=True); F.prelu(x, w).backward(); x.grad, w.grad
bool(a.sum() > 0), bool((a == a).all()), not a[0, 0] == 100
"""

CHANGES = """
x = a.clone().requires_grad_(); y = torch.sigmoid(x); F.dropout(y, 0.0, True, True) is y, F.dropout(y, 0.5, False, True) is y; y.sum().backward(); x.grad
x = torch.zeros(4, 4); x.index_put_((k, k), r[:3]); x
x = torch.zeros(3, 4, dtype=torch.int64); x.index_put_((k[[0, 0, 1]], k), torch.tensor(1), accumulate=True); x
x = a.clone(); x.t().index_put_((k,), r[:3], accumulate=True); x
x = a.clone(); y = x[..., [2, 3]]; z = y.reshape(-1); z.zero_(); y, y.is_contiguous(), x[:, [0, 1]].stride()
l = nn.ParameterList([nn.Parameter(r[:2]), nn.Parameter(r)]); m = copy.deepcopy(l); m[1].data.zero_(); m[0], m[1], l[0]
x = a.clone(); x.zero_(); x
x = a.clone(); x.fill_(3); x
x = a.clone(); x.add_(1).mul_(2).sub_(0.5).div_(3); x
x = a.clone(); x.add_(b, alpha=0.5); x
x = a.clone(); x += b; x -= 1; x *= 2; x /= 3; x
x = a.clone(); y = x; y += 1; x
x = i.clone(); x //= 2; x %= 3; x **= 2; x
x = i.clone(); x <<= 3; x >>= 1; x
x = a.clone(); x.clamp_(0, 1); x
x = a.clone(); x.clamp_(min=0); x
x = a.clone(); x.abs_().sqrt_().exp_().neg_(); x
x = a.clone(); x.sigmoid_().tanh_().sin_(); x
x = a.clone(); x.relu_(); x
x = a.clone(); torch.relu_(x); x
x = a.clone(); x.pow_(2); x
x = a.clone(); x.floor_().sign_(); x
x = a.clone(); x.copy_(b); x
x = a.clone(); x.copy_(r); x
x = a.clone(); x[0] = 5; x[:, 1] = r[:3]; x[m] = 0; x[x > 1] = 1; x
x = a.clone(); x[0, 0] += 1; x[1] *= 2; x
x = a.clone(); x[k, k] = -1.0; x
x = a.clone(); x[..., 0] = torch.tensor([1., 2, 3]); x
x = a.clone(); x.masked_fill_(m, 7); x
x = a.clone(); x.scatter_(1, k[:, None], 5.0); x
x = a.clone(); x.index_fill_(0, torch.tensor([1]), 0); x
x = a.clone(); x.index_copy_(0, torch.tensor([1]), b[:1]); x
x = a.clone(); x.triu_(); x
x = a.clone(); x.lerp_(b, 0.1); x
x = a.clone(); x.addcmul_(b, b, value=0.1).addcdiv_(b, b.exp(), value=-1); x
x = a.clone(); x.cumsum_(1); x
x = torch.zeros(3, 3); x.fill_diagonal_(1); x
x = a.clone(); x.unsqueeze_(0); x.shape
x = a.clone(); x.squeeze_(); x.shape
x = a.clone(); x.t_(); x.shape
x = a.clone(); x.transpose_(0, 1); x
x = a.clone(); x.data.mul_(2); x
x = a.clone(); x.data = b; x
x = a.clone(); x.view(-1)[0] = 100; x
x = a.clone(); x[1].zero_(); x
x = a.clone(); x[:, 0].add_(5); x
x = a.clone(); x.t()[0].fill_(1); x
for c in a.clone().unbind(0): c.zero_(); c
x = a.clone(); y, z = x.chunk(2, 1); y.zero_(); x
x = a.clone(); x.narrow(1, 0, 2).fill_(2); x
x = a.clone(); x.detach().zero_(); x
x = a.clone(); x.eq_(b); x
p.data.fill_(2); p
p.data.add_(1); p
p.data.copy_(torch.ones(2, 3)); p.detach()
p.data -= 0.1; p.detach()
p.grad = torch.ones(2, 3); p.grad.zero_(); p.grad
p.sum().backward(); p.grad.data.zero_(); p.grad
p.sum().backward(); p.grad.data.mul_(2); p.grad
(p ** 2).sum().backward(); p.grad.norm(2)
(p ** 2).sum().backward(); p.data.add_(p.grad.data, alpha=-0.1); p.detach()
(p * 2).sum().backward(); p.grad.clamp_(-1, 1); p.grad
p.requires_grad = False; p.requires_grad
p.requires_grad_(False).requires_grad
x = a.clone().requires_grad_(); (x * x).sum().backward(); x.grad
x = a.clone().requires_grad_(); y = x * 2; y.retain_grad(); y.sum().backward(); y.grad
x = a.clone().requires_grad_(); torch.autograd.grad((x ** 3).sum(), x)[0]
x = a.clone().requires_grad_(); torch.autograd.grad(x * 2, x, grad_outputs=torch.ones_like(x))[0]
x = a.clone().requires_grad_(); torch.autograd.grad([x.sum(), (x * b).sum()], [x])[0]
x = a.clone().requires_grad_(); y = x.exp(); torch.autograd.grad(y.sum(), y)[0]
x = a.clone().requires_grad_(); torch.autograd.grad(x.sum(), [x, p], allow_unused=True)[1] is None
x = a.clone().requires_grad_(); torch.autograd.grad((x * x).sum(), x); x.grad is None
x = a.clone().requires_grad_(); torch.autograd.backward([x.sum(), (x * 2).sum()]); x.grad
x = a.clone().requires_grad_(); x.backward(torch.ones_like(x)); x.grad
x = a.clone().requires_grad_(); h = x.register_hook(lambda g: g * 2); x.sum().backward(); x.grad
x = a.clone().requires_grad_(); h = x.register_hook(lambda g: g * 2); h.remove(); x.sum().backward(); x.grad
x = a.clone().requires_grad_(); y = x * 3; y.register_hook(lambda g: g + 1); y.sum().backward(); x.grad
x = a.clone().requires_grad_(); y = (x * 2).detach(); y.requires_grad
x = a.clone().requires_grad_(); y = x.clone(); y[0] = 0; (y * b).sum().backward(); x.grad
x = a.clone().requires_grad_(); y = x * 1; y.mul_(b); y.sum().backward(); x.grad
x = a.clone().requires_grad_(); y = x * 1; y.relu_(); (y * b).sum().backward(); x.grad
"""


def lines(text: str) -> list[str]:
    """The idioms of a table, one a line."""
    return [line for line in text.strip().split("\n") if line]
