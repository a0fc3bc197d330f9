"""The towns, trunk roads and street names of the simulated network: positions are approximate, courses invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Town:
    """A place on the network; ``columns`` by ``rows`` streets ``spacing`` metres apart, turned by ``turn`` degrees."""

    code: int
    zh: str
    en: str
    lon: float
    lat: float
    columns: int = 1
    rows: int = 1
    spacing: float = 420.0
    turn: float = 0.0
    weight: float = 0.0
    """Share of the city's buses, taxis, building sites and bike stations."""


TOWNS = (
    Town(140502, "城区", "Chengqu", 112.850, 35.500, 13, 13, 430.0, 4.0, 0.46),
    Town(140525, "泽州", "Zezhou", 112.900, 35.610, 7, 6, 400.0, -6.0, 0.12),
    Town(140581, "高平", "Gaoping", 112.920, 35.800, 8, 9, 390.0, 8.0, 0.15),
    Town(140522, "阳城", "Yangcheng", 112.420, 35.490, 9, 6, 380.0, -12.0, 0.12),
    Town(140521, "沁水", "Qinshui", 112.190, 35.690, 8, 4, 340.0, 15.0, 0.07),
    Town(140524, "陵川", "Lingchuan", 113.280, 35.780, 7, 6, 360.0, -3.0, 0.08),
    Town(140525, "巴公", "Bagong", 112.870, 35.680),
    Town(140525, "大阳", "Dayang", 112.730, 35.620),
    Town(140525, "周村", "Zhoucun", 112.640, 35.480),
    Town(140522, "北留", "Beiliu", 112.550, 35.530),
    Town(140521, "端氏", "Duanshi", 112.540, 35.650),
    Town(140521, "郑庄", "Zhengzhuang", 112.360, 35.740),
    Town(140521, "马必", "Mabi", 112.275, 35.840),
    Town(140521, "中村", "Zhongcun", 112.050, 35.610),
    Town(140581, "礼义", "Liyi", 113.140, 35.740),
    Town(140524, "附城", "Fucheng", 113.330, 35.620),
    Town(140525, "柳泉", "Liuquan", 113.050, 35.500),
    Town(140525, "晋庙铺", "Jinmiaopu", 112.880, 35.330),
    Town(140522, "董封", "Dongfeng", 112.250, 35.370),
    Town(140521, "柿庄", "Shizhuang", 112.640, 35.780),
    Town(140581, "陈区", "Chenqu", 113.020, 35.860),
)

SEATS = 6
"""The first towns are the county seats; the others are junctions of trunk roads."""

TRUNKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("城高公路", "Chengqu-Gaoping Road", ("城区", "泽州", "巴公", "高平")),
    ("城阳公路", "Chengqu-Yangcheng Road", ("城区", "周村", "北留", "阳城")),
    ("阳沁公路", "Yangcheng-Qinshui Road", ("阳城", "沁水")),
    ("陵高公路", "Lingchuan-Gaoping Road", ("陵川", "礼义", "高平")),
    ("城陵公路", "Chengqu-Lingchuan Road", ("城区", "柳泉", "附城", "陵川")),
    ("泽端公路", "Zezhou-Duanshi Road", ("泽州", "大阳", "端氏", "郑庄", "沁水")),
    ("高端公路", "Gaoping-Duanshi Road", ("高平", "柿庄", "端氏")),
    ("端阳公路", "Duanshi-Beiliu Road", ("端氏", "北留")),
    ("沁马公路", "Qinshui-Mabi Road", ("沁水", "马必")),
    ("沁中公路", "Qinshui-Zhongcun Road", ("沁水", "中村")),
    ("阳董公路", "Yangcheng-Dongfeng Road", ("阳城", "董封")),
    ("城南公路", "Chengqu South Road", ("城区", "晋庙铺")),
    ("高陈公路", "Gaoping-Chenqu Road", ("高平", "陈区")),
    ("巴柳公路", "Bagong-Liuquan Road", ("巴公", "柳泉")),
)
"""Name zh, name en, the towns a trunk road joins in order."""

ACROSS = (
    ("凤台街", "Fengtai Street"), ("黄华街", "Huanghua Street"), ("新市街", "Xinshi Street"), ("文昌街", "Wenchang Street"),
    ("红星街", "Hongxing Street"), ("白水街", "Baishui Street"), ("书院街", "Shuyuan Street"), ("中原街", "Zhongyuan Street"),
    ("迎宾街", "Yingbin Street"), ("健康街", "Jiankang Street"), ("东风街", "Dongfeng Street"), ("新华街", "Xinhua Street"),
    ("长平街", "Changping Street"),
)  # fmt: skip
"""Names of streets that run east to west."""

ALONG = (
    ("泽州路", "Zezhou Road"), ("建设路", "Jianshe Road"), ("瑞丰路", "Ruifeng Road"), ("兰花路", "Lanhua Road"),
    ("太行路", "Taihang Road"), ("前进路", "Qianjin Road"), ("景西路", "Jingxi Road"), ("文博路", "Wenbo Road"),
    ("晋阳路", "Jinyang Road"), ("友谊路", "Youyi Road"), ("和平路", "Heping Road"), ("府前路", "Fuqian Road"),
    ("丹河路", "Danhe Road"),
)  # fmt: skip
"""Names of streets that run south to north."""

SITES = ("住宅楼", "商业中心", "学校", "医院", "道路改造", "地下管廊", "文化馆", "工业园")
"""What is built where a dust station stands."""
SITES_EN = ("Housing", "Shopping centre", "School", "Hospital", "Road works", "Utility tunnel", "Culture hall", "Industrial park")
