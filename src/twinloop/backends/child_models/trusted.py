"""Types beyond skops' own list that a scikit-learn model may hold.

skops trusts public estimators. These are what fitted ones are made of: trees, metrics, kernels and boosters whose state is
numbers. Some index raw arrays without looking, so a forged file can crash the process that runs them; it is a process of
their own. The list that a file's author suggests (MLflow's ``skops_trusted_types``) is never followed.
"""

from __future__ import annotations

_KERNELS = (
    "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Matern PairwiseKernel Product RBF "
    "RationalQuadratic Sum WhiteKernel"
)
_METRICS = (
    "BrayCurtis Canberra Chebyshev DiceDistance Euclidean Hamming Haversine Jaccard Mahalanobis Manhattan Minkowski "
    "RogersTanimoto RussellRao SEuclidean SokalSneath"
)
_SPLITS = (
    "GroupKFold KFold RepeatedKFold RepeatedStratifiedKFold ShuffleSplit StratifiedKFold StratifiedShuffleSplit "
    "TimeSeriesSplit"
)

TYPES: tuple[str, ...] = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "numpy.dtype",
    "sklearn._loss.loss.BinomialDeviance",
    "sklearn._loss.loss.MultinomialDeviance",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS.split()),
    "sklearn.metrics._scorer._PassthroughScorer",
    *(
        f"sklearn.metrics._dist_metrics.{name.removesuffix('Distance')}Distance{bits}"
        for name in _METRICS.split()
        for bits in ("32", "64")
    ),
    *(f"sklearn.model_selection._split.{name}" for name in _SPLITS.split()),
    *(f"sklearn.neighbors.{module}.{name}{bits}" for module, name in (("_kd_tree", "KDTree"), ("_ball_tree", "BallTree"))
      for bits in ("", "32", "64")),
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRanker",
    "xgboost.sklearn.XGBRegressor",
)  # fmt: skip
