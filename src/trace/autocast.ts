/** Which operators autocast runs in low precision and which in float32 on CUDA (ATen/autocast_mode.h). */

export const lowPrecisionOperators = new Set(
  `_convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution prelu addmm addmv addr
   matmul einsum mm mv linalg_vecdot linear addbmm baddbmm bmm chain_matmul linalg_multi_dot lstm_cell gru_cell rnn_tanh_cell
   rnn_relu_cell scaled_dot_product_attention`.split(/\s+/),
);

/** Run in float32; those that take a dtype (softmax, sum ...) are given float32 unless the call names one. */
export const singlePrecisionOperators = new Set(
  `acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus layer_norm native_layer_norm rms_norm
   group_norm frobenius_norm nuclear_norm cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss nll_loss2d
   hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss
   triplet_margin_loss multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest1d
   upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d
   prod cumprod linalg_matrix_norm norm`.split(/\s+/),
);

/** Given dtype float32 instead of a cast of their input, where the call names no dtype. */
export const singlePrecisionByDtype = new Set(['softmax', 'log_softmax', 'sum', 'cumsum', 'linalg_vector_norm']);

export const widestTypeOperators = new Set(
  'addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add'.split(' '),
);
