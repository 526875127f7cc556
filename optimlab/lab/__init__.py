"""What a lesson uses: data, test functions, plots. 课程所用的数据、测试函数与作图。"""

from optimlab.lab.schedules import schedule_plot as schedule_plot
from optimlab.lab.schedules import schedule_table as schedule_table
