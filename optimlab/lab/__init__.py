"""What a lesson uses: data, test functions, plots. 课程所用的数据、测试函数与作图。"""
